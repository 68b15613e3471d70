-- Create a campaign, empty and `loading`, unless it is there already.
-- KEYS[2] all campaigns; KEYS[3] the active ones
-- ARGV[1] id, fields {name: text}, birth (a word that no other campaign has had); seen, created_ms: where it was here before
-- Returns {'ok'} | {'refused', state}
if redis.call('EXISTS', BASE) == 1 then return refused(campaign('state')) end
for name, value in pairs(A.fields) do redis.call('HSET', BASE, name, value) end
redis.call('HSET', BASE, 'state', 'loading', 'created_ms', int(A.created_ms or NOW), 'born', A.birth, 'loaded', '0', 'cursor', '0',
  'rows', '0', 'version', '1')
SEQ, BORN = (A.seen or 0) + 1, A.birth
redis.call('HSET', BASE, 'seq', int(SEQ))
if A.seen then redis.call('HSET', BASE, 'cautious', int(SEQ), 'cautious_ms', int(NOW)) end
redis.call('ZADD', KEYS[2], int(NOW), A.id)
redis.call('SADD', KEYS[3], A.id)
return { 'ok' }
