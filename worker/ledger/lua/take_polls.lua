-- Take buckets of rows whose deliveries and replies are to be asked for now; who takes them does so within the lease.
-- ARGV[1] most, lease_ms
-- Returns {'ok', the lease's end (ms), [bucket, when it was asked for last (ms; 0 = never), …]}
local taken = {}
for _, bucket in ipairs(redis.call('ZRANGEBYSCORE', key('polls'), '-inf', int(NOW), 'LIMIT', 0, A.most)) do
  redis.call('ZADD', key('polls'), int(NOW + A.lease_ms), bucket)
  table.insert(taken, tonumber(bucket))
  table.insert(taken, tonumber(redis.call('HGET', key('polled'), bucket) or 0))
end
if redis.call('EXISTS', key('polls')) == 0 then redis.call('SREM', ACCOUNT .. 'polling', ID) end
return { 'ok', int(NOW + A.lease_ms), taken }
