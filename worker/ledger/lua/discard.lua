-- Remove a campaign that never started, with all its rows; in one script, so that no loader can be in the middle of it.
-- KEYS[2] all campaigns; KEYS[3] the active ones
-- ARGV[1] id
-- Returns {'ok'} | {'refused', state}
if campaign('state') ~= 'loading' then return refused(campaign('state')) end
for bucket = 0, math.ceil(number('loaded') / BUCKET) - 1 do
  redis.call('UNLINK', key('in:' .. int(bucket)), key('rw:' .. int(bucket)), key('nt:' .. int(bucket)))
end
redis.call('ZREM', KEYS[2], A.id)
redis.call('SREM', KEYS[3], A.id)
redis.call('UNLINK', BASE)
return { 'ok' }
