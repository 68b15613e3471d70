-- Note that a bucket of rows was asked for, and when it is next: at once where a message of it was accepted meanwhile.
-- ARGV[1] bucket, asked_ms (the moment that was reckoned by), lease_until_ms (as take_polls said), in_ms (absent: no more)
-- Returns {'ok'}
local bucket = int(A.bucket)
local due = tonumber(redis.call('ZSCORE', key('polls'), bucket) or A.lease_until_ms)
-- Else a message was accepted meanwhile, and its turn is now, or has come: then another has the bucket, who may die.
local is_mine = due == A.lease_until_ms
redis.call('HSET', key('polled'), bucket, int(A.asked_ms))
if A.in_ms then
  redis.call('ZADD', key('polls'), int(is_mine and NOW + A.in_ms or math.min(due, NOW + A.in_ms)), bucket)
elseif is_mine then
  redis.call('ZREM', key('polls'), bucket)
  redis.call('HDEL', key('polled'), bucket)
end
if redis.call('EXISTS', key('polls')) == 0 then redis.call('SREM', ACCOUNT .. 'polling', ID) end
return { 'ok' }
