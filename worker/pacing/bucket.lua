-- Read one bucket's record and its pace in force; put before each script that takes, moves or shows slots.
--
-- A bucket is a hash: last_us (the latest slot taken, Redis's clock), blocked_us (until when), blocked_for_us (how long that was to be),
-- slipped_us (by how much all slots have been moved on so far, see slip.lua), voided_us (slots granted before are not to be used).
-- After a 429 also (see slow_down.lua) slowed_us (since when), low and held (calls a second), hold_us, and of the refusal itself
-- base, least, rising, first_us, until_us, refused, is_hard.
-- The latest slot is kept, not the next: so that a change of the pace counts from the very next call.

local CLIMB_PER_S = 0.06    -- of what held: how fast it climbs to there
local PROBE_PER_S2 = 0.0125 -- of the configured pace: how it goes on beyond, slowly first, for a call too many is soon told
local AHEAD_MAX_US = 2000000     -- nobody may reserve further ahead (Pacer checks it)
local STEPPED_BACK_US = 3000000  -- further ahead than anybody can have reserved: the clock has stepped back

local MOMENT_US -- one for a whole script
local function now_in_us()
  if not MOMENT_US then
    local time = redis.call('TIME')
    MOMENT_US = time[1] * 1000000 + time[2]
  end
  return MOMENT_US
end

-- A whole number (no text of one) as text. Lua's own form keeps 14 digits, and an epoch in microseconds has 16; C needs long for as many of a
-- fraction, and a `long` may have no more than 31 bits.
local function int(n)
  if n >= 2147483648 then return string.format('%d%06d', n / 1000000, n % 1000000) end
  return string.format(n > -2147483648 and '%d' or '%.0f', n)
end

local function whole(number) return int(math.floor(number + 0.5)) end

-- When a slowed pace goes beyond what held, us.
local function probe_from_us(slow)
  return slow.slowed_us + (slow.held - slow.low) / (CLIMB_PER_S * slow.held) * 1000000 + slow.hold_us
end

-- The pace at a moment: up to what held, there for a while, then beyond it, ever faster, to the configured pace.
local function pace_at(slow, per_s, at_us)
  if not slow then return per_s end
  local probing_s = (at_us - probe_from_us(slow)) / 1000000
  if probing_s > 0 then return math.min(per_s, slow.held + PROBE_PER_S2 * per_s * probing_s ^ 2) end
  local climbed = slow.low + CLIMB_PER_S * slow.held * math.max(0, at_us - slow.slowed_us) / 1000000
  return math.min(per_s, slow.held, climbed)
end

-- When it can be forgotten that it was slowed: the configured pace has held, too.
local function forgotten_us(slow, per_s)
  local back_s = math.sqrt(math.max(0, per_s - slow.held) / (PROBE_PER_S2 * per_s))
  return probe_from_us(slow) + back_s * 1000000 + slow.hold_us
end

-- What lies ahead because the clock has stepped back is put right once, and kept so: judged anew by each call it would stay ahead.
local function put_right(key, moments)
  for name, at_us in pairs(moments) do redis.call('HSET', key, name, whole(at_us)) end
end

local function slowed() -- what is kept of a 429
  return 'slowed_us', 'low', 'held', 'hold_us', 'base', 'least', 'rising', 'first_us', 'until_us', 'refused', 'is_hard'
end
local function read_slow(key, per_s, now_us)
  local slow, kept = {}, redis.call('HMGET', key, slowed())
  for n, name in ipairs({ slowed() }) do
    slow[name] = tonumber(kept[n])
    if not slow[name] then return nil end -- by an earlier version
  end
  if slow.slowed_us > now_us then
    slow.slowed_us, slow.until_us = now_us, now_us
    put_right(key, { slowed_us = now_us, until_us = now_us })
  end
  return forgotten_us(slow, per_s) > now_us and slow or nil
end

local function read_bucket(key, per_s, now_us)
  local kept = redis.call('HMGET', key, 'last_us', 'blocked_us', 'blocked_for_us', 'slipped_us', 'voided_us', 'slowed_us')
  local bucket = {
    last_us = tonumber(kept[1]),
    blocked_us = tonumber(kept[2]) or 0,
    slipped_us = tonumber(kept[4]) or 0,
    voided_us = tonumber(kept[5]) or 0,
    was_blocked = kept[2],
    was_slowed = kept[6],
    slow = kept[6] and read_slow(key, per_s, now_us) or nil,
  }
  if bucket.last_us and bucket.last_us > now_us + STEPPED_BACK_US then
    -- Those who reserved before the step still send, at most this far ahead; then it goes on.
    bucket.last_us = now_us + AHEAD_MAX_US
    put_right(key, { last_us = bucket.last_us })
  end
  if bucket.blocked_us > now_us + (tonumber(kept[3]) or 0) then
    bucket.blocked_us = now_us + (tonumber(kept[3]) or 0)
    put_right(key, { blocked_us = bucket.blocked_us })
  end
  -- Else it would speak against all slots that are granted from now on.
  if bucket.voided_us > now_us then
    bucket.voided_us = 0
    put_right(key, { voided_us = 0 })
  end
  bucket.per_s = pace_at(bucket.slow, per_s, now_us)
  return bucket
end

local function interval_us(per_s, margin_us)
  return (1000000 + margin_us) / per_s
end

-- How long a bucket must be kept, us: until it would no longer hold anybody back, and until it can forget that it was slowed.
local function kept_us(bucket, per_s, now_us)
  local held_back_us = math.max(bucket.last_us or 0, bucket.blocked_us) - now_us + 2 * interval_us(bucket.per_s, 0)
  local slowed_us = bucket.slow and forgotten_us(bucket.slow, per_s) - now_us or 0
  return math.max(0, held_back_us, slowed_us) + 5000000
end

-- Only longer, for another script may know more; and by some seconds, so that it need not be said at each slot.
local function keep_for(key, kept_ms)
  if redis.call('PTTL', key) < kept_ms then redis.call('PEXPIRE', key, whole(kept_ms + 4000)) end
end
