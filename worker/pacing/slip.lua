-- Move a slot that was reached late to now, and all that nobody has taken yet with it.
--
-- A late call would crowd those after it into one second with itself: the N-th after it must be a second later still.
-- From/to: each bucket's last_us and slipped_us grow, by no more than earlier slips since the grant have not moved already
-- (a stall of the machine makes many slots late at once, and costs its length once). Refused where the N-th slot is taken,
-- and where a new slot would cost less: unless nobody has come after, so that there is nothing to lose.
-- KEYS: the buckets of the call.
-- ARGV: 1 the slot as granted, us; 2 the margin on a second, us; 3 how long until the caller hears of it, us
--       (negative: how long ago it went out); 4 how late it may be, us; 5 '1' if the call went out, so that nothing is refused;
--       then for each bucket: its configured pace, calls a second; slipped_us when it was granted.
-- Returns: the new slot, us, as a string; '' if refused.

local slot_us = tonumber(ARGV[1])
local went_out = ARGV[5] == '1'
local margin_us = tonumber(ARGV[2])
local now_us = now_in_us()
-- Half of the allowed lateness is used up here: it costs nobody anything.
local late_us = math.max(0, now_us + tonumber(ARGV[3]) - tonumber(ARGV[4]) / 2 - slot_us)
local buckets = {}

for n, key in ipairs(KEYS) do
  local per_s = tonumber(ARGV[4 + 2 * n])
  local bucket = read_bucket(key, per_s, now_us)
  bucket.interval_us = interval_us(per_s, margin_us)
  local moved_us = math.max(0, bucket.slipped_us - tonumber(ARGV[5 + 2 * n]))
  local taken_ahead_us = (bucket.last_us or slot_us) - moved_us - slot_us
  bucket.shift_us = math.max(0, late_us - moved_us)
  local is_next_second_taken = taken_ahead_us >= math.ceil(per_s) * bucket.interval_us - 1
  local is_new_slot_cheaper = taken_ahead_us > 0 and bucket.shift_us > bucket.interval_us
  if not went_out and (is_next_second_taken or is_new_slot_cheaper) then return '' end
  bucket.last_us = (bucket.last_us or slot_us) + bucket.shift_us
  if bucket.last_us > now_us + AHEAD_MAX_US then
    if not went_out then return '' end
    bucket.last_us = now_us + AHEAD_MAX_US
  end
  buckets[n] = bucket
end

for n, key in ipairs(KEYS) do
  local bucket = buckets[n]
  redis.call('HSET', key, 'last_us', whole(bucket.last_us), 'slipped_us', whole(bucket.slipped_us + bucket.shift_us))
  keep_for(key, (bucket.last_us - now_us + 2 * bucket.interval_us) / 1000 + 5000)
end
return whole(slot_us + late_us)
