-- Make rows due again whose message the broker has lost; and put back some more of what the breaker owes.
-- from QUEUED to PENDING; OPEN and DOUBT_* are due again
-- ARGV[1] older_ms (age in the window from which a row counts as lost), most (how many at once)
-- Returns {'ok', how many}
put_back_more()
local lost = redis.call('ZRANGEBYSCORE', key('queued'), '-inf', int(NOW - A.older_ms), 'LIMIT', 0, A.most)
for _, member in ipairs(lost) do
  local row = tonumber(member)
  local r = read(row)
  redis.call('ZREM', key('queued'), member)
  if r and r.state == STATE.QUEUED then
    back(r, hand(row), 0)
  elseif r and (r.state == STATE.OPEN or r.state == STATE.DOUBT_OPENING or r.state == STATE.DOUBT_SENDING) then
    step()
    later(row, 0)
  end
end
return { 'ok', #lost }
