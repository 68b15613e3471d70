-- Cancel a campaign; its rows are ended by cancel_rows, a piece at a time.
-- Returns {'ok'} | {'refused', state or 'finished'}
local state = campaign('state')
if state ~= 'running' and state ~= 'paused' then return refused(state) end
if left() == 0 and redis.call('EXISTS', key('back')) == 0 then return refused('finished') end
redis.call('DEL', key('back'))
redis.call('HSET', BASE, 'state', 'cancelled', 'paused_by', '', 'cancelled_ms', int(NOW))
step()
return { 'ok' }
