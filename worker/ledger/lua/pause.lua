-- Pause a campaign: no further row is opened, what is open is finished.
-- ARGV[1] by (who or what paused it)
-- Returns {'ok'} | {'refused', state}
if campaign('state') ~= 'running' then return refused(campaign('state')) end
redis.call('HSET', BASE, 'state', 'paused', 'paused_by', A.by, 'reason_code', '0', 'paused_ms', int(NOW))
step()
return { 'ok' }
