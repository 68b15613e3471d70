-- Create a campaign, empty and `loading`, unless it is there already.
-- KEYS[2] all campaigns; KEYS[3] the active ones
-- ARGV[1] id, fields {name: text}
-- Returns {'ok'} | {'refused', state}
if redis.call('EXISTS', BASE) == 1 then return refused(campaign('state')) end
for name, value in pairs(A.fields) do redis.call('HSET', BASE, name, value) end
redis.call('HSET', BASE, 'state', 'loading', 'created_ms', int(NOW), 'seq', '1', 'loaded', '0', 'cursor', '0', 'rows', '0',
  'version', '1')
redis.call('ZADD', KEYS[2], int(NOW), A.id)
redis.call('SADD', KEYS[3], A.id)
return { 'ok' }
