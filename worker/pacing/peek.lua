-- Look at buckets without taking anything.
--
-- KEYS: the buckets. ARGV: none.
-- Returns: for each {share of the configured pace, us until the latest slot (negative: since), us blocked from now on, why or ''}, as strings.

local now_us = now_in_us()
local seen = {}
for n, key in ipairs(KEYS) do
  local bucket = read_bucket(key, now_us)
  local blocked_us = math.max(0, bucket.blocked_us - now_us)
  local why = ''
  if blocked_us > 0 then why = 'retry_after' elseif bucket.share < 1 then why = '429' end
  seen[n] = {
    string.format('%.6f', bucket.share),
    whole((bucket.last_us or 0) - now_us),
    whole(blocked_us),
    why,
  }
end
return seen
