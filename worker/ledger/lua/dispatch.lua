-- Put rows that are due into the broker's window.
-- from PENDING to QUEUED; OPEN, DOUBT_OPENING and DOUBT_SENDING are only noted as queued
-- ARGV[1] fresh: how many PENDING rows at most; old: how many opened or doubtful rows at most
-- Returns {'ok', PENDING rows now QUEUED [..], OPEN rows [..], rows in doubt [..]}
local fresh, open, doubt = {}, {}, {}
put_back_more()
local function queue(row) redis.call('ZADD', key('queued'), int(NOW), int(row)) end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('later'), '-inf', int(NOW), 'LIMIT', 0, A.old)) do
  local r = read(tonumber(member))
  redis.call('ZREM', key('later'), member)
  if r and (r.state == STATE.OPEN or r.state == STATE.DOUBT_OPENING or r.state == STATE.DOUBT_SENDING) then
    queue(r.row)
    table.insert(r.state == STATE.OPEN and open or doubt, r.row)
  end
end

local function take(r)
  r.state = STATE.QUEUED
  save(r)
  queue(r.row)
  table.insert(fresh, r.row)
end

if status() == 'running' and A.fresh > 0 then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('due'), '-inf', int(NOW), 'LIMIT', 0, A.fresh)) do
    redis.call('ZREM', key('due'), member)
    local r = read(tonumber(member))
    if r and r.state == STATE.PENDING then take(r) end
  end
  -- Rows behind the cursor have never been queued: a number instead of an index of a million members.
  local cursor, rows, steps = number('cursor'), number('rows'), 0
  while #fresh < A.fresh and cursor < rows and steps < 1000 do
    cursor, steps = cursor + 1, steps + 1
    local bucket, field = place(cursor)
    local value = redis.call('HGET', key('rw:' .. bucket), field) or ''
    -- Its state alone is cheap to look at; many rows may have ended when they were loaded.
    if string.byte(value) == STATE.PENDING and not redis.call('ZSCORE', key('due'), int(cursor)) then
      take(unpack_row(cursor, value))
    end
  end
  if steps > 0 then redis.call('HSET', BASE, 'cursor', int(cursor)) end
  if #fresh > 0 then
    step(counted(STATE.PENDING, STATE.QUEUED, #fresh), #fresh)
    redis.call('HINCRBY', BASE, 'queued_n', #fresh)
  end
end
return { 'ok', fresh, open, doubt }
