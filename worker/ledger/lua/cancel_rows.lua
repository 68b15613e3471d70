-- End some more rows of a cancelled campaign, or of a wave that is to end, that were not opened yet.
-- from PENDING | QUEUED to CANCELLED
-- ARGV[1] most (how many rows to end at once)
-- Returns {'ok', how many rows are left to be ended} | {'refused', state}
if status() ~= 'cancelled' then return refused(status()) end
local most = A.most
local function look(row)
  local r = read(row)
  if r and (r.state == STATE.PENDING or r.state == STATE.QUEUED) then
    cancel(r, hand(row))
    most = most - 1
  end
end
for _, member in ipairs(redis.call('ZRANGE', key('due'), 0, most - 1)) do look(tonumber(member)) end
-- The whole window, for what is opened stays in it; it is small.
for _, member in ipairs(most > 0 and redis.call('ZRANGE', key('queued'), 0, -1) or {}) do
  if most > 0 then look(tonumber(member)) end
end
local cursor, rows, steps = number('cursor'), number('rows'), 0
while most > 0 and cursor < rows and steps < 2000 do
  cursor, steps = cursor + 1, steps + 1
  look(cursor)
end
redis.call('HSET', BASE, 'cursor', int(cursor))
return { 'ok', int(number('n0') + number('n1')) }
