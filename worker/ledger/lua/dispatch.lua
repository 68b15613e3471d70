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

if status() == 'running' and A.fresh > 0 then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('due'), '-inf', int(NOW), 'LIMIT', 0, A.fresh)) do
    redis.call('ZREM', key('due'), member)
    local r = read(tonumber(member))
    if r and r.state == STATE.PENDING then
      r.state = STATE.QUEUED
      save(r)
      queue(r.row)
      table.insert(fresh, r.row)
    end
  end
  -- Rows behind the cursor have never been queued: a number instead of an index of a million members.
  local cursor, rows, steps = number('cursor'), number('rows'), 0
  while #fresh < A.fresh and cursor < rows and steps < 1000 do
    local bucket, first = place(cursor + 1)
    local n = math.min(BUCKET - first, rows - cursor, A.fresh - #fresh)
    local fields, members, records, queued = {}, {}, {}, {}
    for i = 1, n do fields[i], members[i] = int(first + i - 1), int(cursor + i) end
    local values = redis.call('HMGET', key('rw:' .. bucket), unpack(fields))
    local scores = redis.call('ZMSCORE', key('due'), unpack(members))
    for i = 1, n do
      -- Its state alone, the first byte, is cheap to look at and to change; many rows may have ended when they were loaded.
      if values[i] and string.byte(values[i]) == STATE.PENDING and not scores[i] then
        table.insert(fresh, cursor + i)
        records[#records + 1], records[#records + 2] = fields[i], string.char(STATE.QUEUED) .. string.sub(values[i], 2)
        queued[#queued + 1], queued[#queued + 2] = int(NOW), members[i]
      end
    end
    if #queued > 0 then
      redis.call('HSET', key('rw:' .. bucket), unpack(records))
      redis.call('ZADD', key('queued'), unpack(queued))
    end
    cursor, steps = cursor + n, steps + n
  end
  if steps > 0 then redis.call('HSET', BASE, 'cursor', int(cursor)) end
  if #fresh > 0 then
    step(counted(STATE.PENDING, STATE.QUEUED, #fresh), #fresh)
    redis.call('HINCRBY', BASE, 'queued_n', #fresh)
  end
end
return { 'ok', fresh, open, doubt }
