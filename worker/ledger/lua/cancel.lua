-- Cancel a campaign; its rows are ended by cancel_rows, a piece at a time.
-- Returns {'ok'} | {'refused', state}
local state = campaign('state')
if state ~= 'running' and state ~= 'paused' then return refused(state) end
redis.call('HSET', BASE, 'state', 'cancelled', 'paused_by', '', 'cancelled_ms', int(NOW))
redis.call('HINCRBY', BASE, 'seq', 1)
return { 'ok' }
