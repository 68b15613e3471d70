-- Let a paused campaign go on; the breaker counts from here.
-- Returns {'ok'} | {'refused', state}
if campaign('state') ~= 'paused' then return refused(campaign('state')) end
for _, code in ipairs(redis.call('SMEMBERS', key('rejcodes'))) do
  local owed = redis.call('ZSCORE', key('back'), code)
  if owed then -- what the breaker still has to put back
    redis.call('LTRIM', key('rej:' .. code), 0, owed - 1)
  else
    redis.call('UNLINK', key('rej:' .. code))
    redis.call('SREM', key('rejcodes'), code)
  end
end
redis.call('HSET', BASE, 'state', 'running', 'paused_by', '', 'reason_code', '0', 'streak_n', '0', 'resumed_ms', int(NOW))
step()
return { 'ok' }
