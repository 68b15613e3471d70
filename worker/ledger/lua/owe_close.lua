-- Note an Interaction of our own that is to be closed, beside the one that was kept.
-- ARGV[1] row, interaction, channel (SIDs)
-- Returns {'ok'}
redis.call('HSET', key('close'), A.interaction, cjson.encode({ row = A.row, channel = A.channel, since = NOW }))
redis.call('ZADD', key('closing'), int(NOW), A.interaction)
return { 'ok' }
