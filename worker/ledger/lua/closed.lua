-- Record what came of closing an Interaction; where it is closed, or given up, its pair is free, and a row that waited
-- for it is due.
-- ARGV[1] interaction (SID), done (confirmed), due_in_ms (when to try again), refused (code: Twilio refuses to close it),
--   given_up (it stays open: somebody must close it by hand)
-- Returns {'ok'}
local value = redis.call('HGET', key('close'), A.interaction)
if not value then return { 'ok' } end
local entry = cjson.decode(value)
if not A.done and not A.given_up then
  if A.refused then
    entry.refusals, entry.refused_since = (entry.refusals or 0) + 1, entry.refused_since or NOW
    redis.call('HSET', key('close'), A.interaction, cjson.encode(entry))
  end
  redis.call('ZADD', key('closing'), int(NOW + A.due_in_ms), A.interaction)
  return { 'ok' }
end
if A.given_up then
  redis.call('HSET', key('unclosed'), A.interaction, cjson.encode({ row = entry.row, code = A.refused, since = NOW }))
end
redis.call('HDEL', key('close'), A.interaction)
redis.call('ZREM', key('closing'), A.interaction)
free_pair(entry.row, entry.pair)
local r, h = read(entry.row), hand(entry.row)
if r and r.state == STATE.PENDING and h.closing == A.interaction and h.after then
  due(entry.row, math.max(0, h.after - NOW))
  h.after = nil
  keep(entry.row, h)
end
return { 'ok' }
