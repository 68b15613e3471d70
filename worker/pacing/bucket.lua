-- Read one bucket's record and its pace in force; put before each of this room's scripts.
--
-- A bucket is a hash: last_us (the latest slot taken, Redis's clock), share (of the configured pace, 0 to 1; absent: 1),
-- slowed_us (when share was set), blocked_us (until when), blocked_for_us (how long that was to be), why (retry_after | 429),
-- slipped_us (by how much all slots have been moved on so far, see slip.lua).
-- The latest slot is kept, not the next: so that a change of the pace counts from the very next call.

-- TIME makes a script's effects differ from its text: servers before 7 must be told to pass on the effects.
if redis.replicate_commands then redis.replicate_commands() end

local SPEED_UP_PER_S = 0.02 -- of the configured pace
local AHEAD_MAX_US = 2000000     -- nobody may reserve further ahead (Pacer checks it)
local STEPPED_BACK_US = 3000000  -- further ahead than anybody can have reserved: the clock has stepped back

local function now_in_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function whole(number)
  -- Lua's own form keeps 14 digits; an epoch in microseconds has 16.
  return string.format('%.0f', number)
end

local function read_bucket(key, now_us)
  local kept = redis.call('HMGET', key, 'last_us', 'share', 'slowed_us', 'blocked_us', 'blocked_for_us', 'why', 'slipped_us')
  local bucket = {
    last_us = tonumber(kept[1]),
    share = tonumber(kept[2]) or 1,
    slowed_us = tonumber(kept[3]) or 0,
    blocked_us = tonumber(kept[4]) or 0,
    why = kept[6] or '',
    slipped_us = tonumber(kept[7]) or 0,
  }
  if bucket.last_us and bucket.last_us > now_us + STEPPED_BACK_US then
    -- Those who reserved before the step still send, at most this far ahead; then it goes on.
    bucket.last_us = now_us + AHEAD_MAX_US
  end
  if bucket.blocked_us > now_us + (tonumber(kept[5]) or 0) then
    bucket.blocked_us = now_us + (tonumber(kept[5]) or 0)
  end
  if bucket.slowed_us > now_us then bucket.slowed_us = now_us end
  local quiet_s = math.max(0, now_us - bucket.slowed_us) / 1000000
  bucket.share = math.min(1, bucket.share + SPEED_UP_PER_S * quiet_s)
  return bucket
end

local function interval_us(per_s, share, margin_us)
  return (1000000 + margin_us) / (per_s * share)
end
