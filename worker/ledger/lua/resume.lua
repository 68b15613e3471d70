-- Let a paused campaign go on; the breaker counts from here.
-- Returns {'ok'} | {'refused', state}
if campaign('state') ~= 'paused' then return refused(campaign('state')) end
for _, code in ipairs(redis.call('SMEMBERS', key('rejcodes'))) do redis.call('DEL', key('rej:' .. code)) end
redis.call('DEL', key('rejcodes'))
redis.call('HSET', BASE, 'state', 'running', 'paused_by', '', 'reason_code', '0', 'streak_n', '0', 'resumed_ms', int(NOW))
redis.call('HINCRBY', BASE, 'seq', 1)
return { 'ok' }
