-- Create a wave beside its campaign: a ledger of its own, whose rows are those of the campaign that it is sent to.
-- KEYS[2] the campaign
-- ARGV[1] definition (JSON text), birth (a word that no other campaign has had)
-- Returns {'ok'} | {'refused', 'there' | 'stopped' (no more follow-ups are wanted) | state of the campaign}
if redis.call('EXISTS', BASE) == 1 then return refused('there') end
local above = redis.call('HGET', KEYS[2], 'state')
if above ~= 'running' and above ~= 'paused' then return refused(above) end
if redis.call('HGET', KEYS[2], 'follow_ups') == 'stopped' then return refused('stopped') end
for _, name in ipairs({ 'name', 'columns', 'file', 'file_sha256', 'generation', 'base_url', 'account', 'rows' }) do
  local value = redis.call('HGET', KEYS[2], name)
  if value then redis.call('HSET', BASE, name, value) end
end
-- No row is behind the cursor: each is put in by begin_wave.
redis.call('HSET', BASE, 'state', 'running', 'definition', A.definition, 'created_ms', int(NOW), 'started_ms', int(NOW),
  'born', A.birth, 'loaded', campaign('rows'), 'cursor', campaign('rows'), 'version', '1')
redis.call('SADD', KEYS[2] .. ':waves', ID)
BORN = A.birth
step()
return { 'ok' }
