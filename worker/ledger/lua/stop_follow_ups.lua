-- Begin no more waves of a campaign, or begin them again; those begun are ended by `cancel` of each.
-- ARGV[1] stopped
-- Returns {'ok'} | {'refused', why}
if not CREATED_MS then return refused('unknown') end
local wanted = A.stopped and 'stopped' or 'on'
if (campaign('follow_ups') or 'on') == wanted then return refused(wanted) end
redis.call('HSET', BASE, 'follow_ups', wanted)
step()
return { 'ok' }
