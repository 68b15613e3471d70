-- Record what came of closing an Interaction.
-- ARGV[1] interaction (SID), done (confirmed), due_in_ms (when to try again)
-- Returns {'ok'}
if A.done then
  redis.call('HDEL', key('close'), A.interaction)
  redis.call('ZREM', key('closing'), A.interaction)
elseif redis.call('HEXISTS', key('close'), A.interaction) == 1 then
  redis.call('ZADD', key('closing'), int(NOW + A.due_in_ms), A.interaction)
end
return { 'ok' }
