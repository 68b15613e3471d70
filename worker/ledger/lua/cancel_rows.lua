-- End some more rows of a cancelled campaign that were not opened yet.
-- from PENDING | QUEUED to CANCELLED
-- ARGV[1] most (how many rows to look at)
-- Returns {'ok', how many rows are left to look at} | {'refused', state}
if campaign('state') ~= 'cancelled' then return refused(campaign('state')) end
local function cancel(row)
  local r = read(row)
  if r and (r.state == STATE.PENDING or r.state == STATE.QUEUED) then
    move(r, STATE.CANCELLED, EVENT.CANCELLED)
    finish(r, hand(row))
  end
end
local left = A.most
for _, name in ipairs({ 'due', 'queued' }) do
  for _, member in ipairs(left > 0 and redis.call('ZRANGE', key(name), 0, left - 1) or {}) do
    cancel(tonumber(member))
    left = left - 1
  end
end
local cursor, rows = number('cursor'), number('rows')
while left > 0 and cursor < rows do
  cursor, left = cursor + 1, left - 1
  cancel(cursor)
end
redis.call('HSET', BASE, 'cursor', int(cursor))
return { 'ok', int(number('n0') + number('n1')) }
