-- Slow a bucket after a 429: each takes one call a second off the pace; block it where Twilio said until when.
--
-- So a second in which n calls too many were made ends with a pace that is n lower, at once and whatever n is;
-- and a stray 429 costs one call a second, not a part of the whole pace.
-- From/to: share is lowered; blocked_us is set to the later of the old and the new.
-- KEYS: 1 the bucket.
-- ARGV: 1 Retry-After, us, or 0; 2 the configured pace, calls a second.
-- Returns: the share in force now, as a string.

local SHARE_MIN = 0.05
local SLOW_PACE_TIMES = 0.7 -- of a pace of so few calls a second that one is most of it

local retry_after_us = tonumber(ARGV[1])
local now_us = now_in_us()
local bucket = read_bucket(KEYS[1], now_us)

bucket.share = math.max(SHARE_MIN, bucket.share - math.min(1 / tonumber(ARGV[2]), bucket.share * (1 - SLOW_PACE_TIMES)))
redis.call('HSET', KEYS[1], 'share', string.format('%.6f', bucket.share), 'slowed_us', whole(now_us), 'why', '429')
if retry_after_us > 0 and now_us + retry_after_us > bucket.blocked_us then
  bucket.blocked_us = now_us + retry_after_us
  redis.call('HSET', KEYS[1], 'blocked_us', whole(bucket.blocked_us), 'blocked_for_us', whole(retry_after_us), 'why', 'retry_after')
end
local recovery_us = (1 - bucket.share) / SPEED_UP_PER_S * 1000000 + 2 * interval_us(tonumber(ARGV[2]), bucket.share, 0)
redis.call('PEXPIRE', KEYS[1], whole(math.ceil((recovery_us + math.max(0, bucket.blocked_us - now_us)) / 1000) + 5000))
return string.format('%.6f', bucket.share)
