-- Slow a bucket after a 429; block it where Twilio said until when.
--
-- A refusal says that the second before it held one call more than Twilio takes. At an even pace the next ones within a second of it
-- say how many more: so n refusals leave what was called in that second, less n. That is then held, and later gone beyond, slowly
-- first (pace_at). A refusal on the way there means the same limit: what held is held again, and the next try comes three times
-- later. So a limit that stays lowered is felt for rarely, and one that is raised again is used within a minute.
-- Calls that were out, or had their slots, when the first refusal came are part of it: they lower nothing anew.
-- Where most calls are refused, the limit is far below: it begins again at half.
-- From/to: low, held, hold_us and what belongs to them are set; blocked_us to the later of the old and the new; voided_us where
-- slots that were granted before would only be refused.
-- KEYS: 1 the bucket.
-- ARGV: 1 Retry-After, us, or 0; 2 the configured pace, calls a second; 3 the slot of the refused call, us, or 0: now;
--       4 the margin on a second, us.
-- Returns: the pace in force now, as a string.

local LEAST = 0.05             -- of the configured pace
local LEFT_EACH = 0.7          -- at least, of a pace of so few calls a second that one is most of it
local HOLD_US, HOLD_MAX_US, LONGER = 5000000, 50000000, 3
local NEAR, NEAR_CALLS = 0.25, 4 -- so little beyond what held, a refusal means the same limit
local HARD, HARD_CALLS = 0.1, 3  -- refused so many of a second's calls, and half of those made since the first of them

local retry_after_us = tonumber(ARGV[1])
local per_s = tonumber(ARGV[2])
local now_us = now_in_us()
local slot_us = tonumber(ARGV[3])
if slot_us == 0 or slot_us > now_us then slot_us = now_us end -- no call is refused before its slot, but by another clock
local bucket = read_bucket(KEYS[1], per_s, now_us)
local slow = bucket.slow
local least = LEAST * per_s

local function begun()
  local probing = slow and slot_us > probe_from_us(slow)
  local rising = probing or (slow and slow.low < slow.held and pace_at(slow, per_s, slot_us) < slow.held)
  local near = probing and pace_at(slow, per_s, slot_us) - slow.held <= math.max(NEAR_CALLS, NEAR * slow.held)
  -- What was called in the second before; limits are whole numbers.
  local base = pace_at(slow, per_s, slot_us - 500000)
  local called = base / (1 + tonumber(ARGV[4]) / 1000000)
  if called > NEAR_CALLS then base = rising and math.floor(called) or math.ceil(called) end
  if near then base = math.max(base - 1, base * LEFT_EACH) end
  return {
    base = base,
    least = near and slow.held or least,
    hold_us = near and math.min(HOLD_MAX_US, LONGER * slow.hold_us) or HOLD_US,
    rising = rising and 1 or 0,
    first_us = slot_us,
    refused = 0,
    is_hard = 0,
  }
end

local is_new = not slow or slot_us > slow.until_us
if is_new then slow = begun() end
if is_new or (slot_us <= slow.first_us + 1000000 and slow.is_hard == 0) then
  slow.refused = slow.refused + 1
  -- Of a rising pace the first comes as soon as there is one too many, and the later ones tell of its rise.
  local many = slow.rising == 1 and 0 or slow.refused
  slow.held = math.max(slow.base - many, slow.base * LEFT_EACH ^ many, slow.least)
  slow.low = slow.held
  local made = 1 + math.max(0, slot_us - slow.first_us) / 1000000 * slow.base
  if slow.refused >= math.max(HARD_CALLS, HARD * slow.base) and slow.refused >= made / 2 then
    slow.is_hard = 1
    slow.low = math.min(slow.held, math.max(slow.base / 2, least))
  end
  if slow.is_hard == 1 or (is_new and slow.rising == 1) then bucket.voided_us = now_us end
  slow.slowed_us = now_us
  slow.until_us = math.max(now_us, bucket.last_us or 0)
  bucket.slow = slow
  bucket.per_s = pace_at(slow, per_s, now_us)
  for _, name in ipairs({ slowed() }) do
    redis.call('HSET', KEYS[1], name, name:find('_us') and whole(slow[name]) or string.format('%.6f', slow[name]))
  end
end
if retry_after_us > 0 then
  bucket.voided_us = now_us
  if now_us + retry_after_us > bucket.blocked_us then
    bucket.blocked_us = now_us + retry_after_us
    redis.call('HSET', KEYS[1], 'blocked_us', whole(bucket.blocked_us), 'blocked_for_us', whole(retry_after_us))
  end
end
if bucket.voided_us == now_us then redis.call('HSET', KEYS[1], 'voided_us', whole(now_us)) end
redis.call('PEXPIRE', KEYS[1], whole(math.ceil(kept_us(bucket, per_s, now_us) / 1000)))
return string.format('%.6f', bucket.per_s)
