-- Look at buckets without taking anything.
--
-- KEYS: the buckets. ARGV: the configured pace of each, calls a second.
-- Returns: for each {calls a second in force, us until the latest slot (negative: since), us blocked from now on,
--          us until a slowed pace tries more or 0, why it is slower than configured or ''}, as strings.

local now_us = now_in_us()
local seen = {}
for n, key in ipairs(KEYS) do
  local per_s = tonumber(ARGV[n])
  local bucket = read_bucket(key, per_s, now_us)
  local blocked_us = math.max(0, bucket.blocked_us - now_us)
  local why = ''
  if blocked_us > 0 then why = 'retry_after' elseif bucket.per_s < per_s then why = '429' end
  seen[n] = {
    string.format('%.6f', bucket.per_s),
    whole((bucket.last_us or 0) - now_us),
    whole(blocked_us),
    whole(bucket.slow and math.max(0, probe_from_us(bucket.slow) - now_us) or 0),
    why,
  }
end
return seen
