-- Take the next common slot of all buckets of one call, or of none; put before scripts that take one, the ledger's claims among them.
--
-- From/to: each bucket's last_us becomes the slot. GCRA with a burst of one: slots are an interval apart.
-- KEYS from `first_key` on, to their end: the buckets, the widest first, all of one hash tag.
-- ARGV from `first_limit` on: the longest wait, us; the margin on a second, us; how long the caller needs until it can call, us:
--       no slot is sooner; then the configured pace of each bucket, calls a second.
-- Returns: {'granted' | 'wait', slot us | us after which it would be granted, now us, n, then of each bucket slipped us and voided us};
--          bucket n decides. All numbers of microseconds as strings.
-- Source: GCRA, https://brandur.org/rate-limiting
local function take_slot(first_key, first_limit)
  local function limit(n) return tonumber(ARGV[first_limit + n]) end
  local longest_wait_us, margin_us = limit(0), limit(1)

  local now_us = now_in_us()
  local ready_us = now_us + limit(2)
  local slot_us, decisive = ready_us, 1
  local buckets, told = {}, {}

  for n = 1, #KEYS - first_key + 1 do
    local bucket = read_bucket(KEYS[first_key + n - 1], limit(2 + n), now_us)
    bucket.interval_us = interval_us(bucket.per_s, margin_us)
    bucket.free_us = math.max(ready_us, bucket.blocked_us, (bucket.last_us or 0) + bucket.interval_us)
    if bucket.free_us > slot_us then slot_us, decisive = bucket.free_us, n end
    buckets[n] = bucket
    told[2 * n - 1], told[2 * n] = whole(bucket.slipped_us), whole(bucket.voided_us)
  end

  -- The first bucket is the widest: whoever shares one of the others needs it too, but not the other way round. Where it is free
  -- a whole interval before the slot, slots would be lost that others can use: come back when at most a part of one is lost, if
  -- as many are taken ahead by then as now.
  local come_back_us = slot_us - longest_wait_us
  local early_us = slot_us - buckets[1].free_us
  if early_us >= buckets[1].interval_us then
    come_back_us = math.max(come_back_us, now_us + early_us - buckets[1].interval_us / 2)
  end
  if come_back_us > now_us then
    return {'wait', whole(math.ceil(come_back_us - now_us)), whole(now_us), decisive, unpack(told)}
  end

  local slot = whole(slot_us)
  for n, bucket in ipairs(buckets) do
    local key = KEYS[first_key + n - 1]
    bucket.last_us = slot_us
    redis.call('HSET', key, 'last_us', slot)
    if bucket.was_slowed and not bucket.slow then redis.call('HDEL', key, slowed()) end
    if bucket.was_blocked and bucket.blocked_us <= now_us then redis.call('HDEL', key, 'blocked_us', 'blocked_for_us') end
    keep_for(key, kept_us(bucket, limit(2 + n), now_us) / 1000)
  end
  return {'granted', slot, whole(now_us), decisive, unpack(told)}
end
