-- See how each active campaign stands that has anything to be queued, or in the window; changes nothing, and is no transition.
--
-- KEYS[1] the active campaigns; their hashes are named after it, all in one hash slot.
-- ARGV[1] JSON; now_ms is passed by tests only: else Redis's own clock counts.
-- Returns JSON: for each {id, version, PENDING, QUEUED, in doubt, QUEUED to OPEN without a message,
--   whether a PENDING row is due, whether an OPEN row or one in doubt is, queued_n, slots}
local PREFIX = string.match(KEYS[1], '^(.*)active$') .. 'c:'
local t = redis.call('TIME')
local NOW = cjson.decode(ARGV[1]).now_ms or tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)

local function is_due(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', NOW), 'LIMIT', 0, 1)[1] ~= nil
end

local function runs(id, state) -- as status() in _head.lua: a wave heeds its campaign's pause and end
  local parent = string.match(id, '^(.*)%.f%d+%-%d+$')
  if state ~= 'running' or not parent then return state == 'running' end
  local above = redis.call('HMGET', PREFIX .. parent, 'state', 'follow_ups')
  return above[1] ~= 'cancelled' and above[1] ~= 'paused' and above[2] ~= 'stopped'
end

local found = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local base = PREFIX .. id
  local state, version, rows, cursor, pending, queued, opening, doubt, open, doubt_sending, queued_n, slots = unpack(
    redis.call('HMGET', base, 'state', 'version', 'rows', 'cursor', 'n0', 'n1', 'n2', 'n3', 'n4', 'n6', 'queued_n', 'slots'))
  pending, queued, open = tonumber(pending or 0), tonumber(queued or 0), tonumber(open or 0)
  local in_doubt = tonumber(doubt or 0) + tonumber(doubt_sending or 0)
  local is_fresh = pending > 0 and runs(id, state) and (tonumber(cursor) < tonumber(rows) or is_due(base .. ':due'))
  local is_old = open + in_doubt > 0 and is_due(base .. ':later')
  if is_fresh or is_old or queued + in_doubt > 0 then
    found[#found + 1] = { id, tonumber(version), pending, queued, in_doubt, queued + tonumber(opening or 0) + open,
      is_fresh, is_old, tonumber(queued_n or 0), tonumber(slots or 0) }
  end
end
return #found > 0 and cjson.encode(found) or '[]'
