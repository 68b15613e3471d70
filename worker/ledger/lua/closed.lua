-- Record what came of closing an Interaction; where it is closed, its pair is free, and a row that waited for it is due.
-- ARGV[1] interaction (SID), done (confirmed), due_in_ms (when to try again)
-- Returns {'ok'}
local value = redis.call('HGET', key('close'), A.interaction)
if not value then return { 'ok' } end
if not A.done then
  redis.call('ZADD', key('closing'), int(NOW + A.due_in_ms), A.interaction)
  return { 'ok' }
end
local entry = cjson.decode(value)
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
