-- Claim a night of the timetable, or go on with one that waits or whose holder is gone; each night ends once.
-- ARGV[1] planned_ms, night (JSON of a new one), token, owner, lease_ms; made: the entry must be a schedule that is there;
-- instead_of: token of a holder that is known to be dead; at_once: though it is to be tried again later
-- Returns {'ok', JSON of the night as it was left} | {'refused', 'gone' | 'ended' | 'another' | 'held' | 'early'}
if A.made and redis.call('HEXISTS', BASE, 'schedule') == 0 then return refused('gone') end
local open = campaign('night_ms')
if open then
  if tonumber(open) ~= A.planned_ms then return refused('another') end
  local token = campaign('token')
  if token and token ~= A.instead_of and number('lease_ms') > NOW then return refused('held') end
  if number('again_ms') > NOW and not A.at_once then return refused('early') end
else
  if number('settled_ms') >= A.planned_ms then return refused('ended') end
  redis.call('HSET', BASE, 'night_ms', int(A.planned_ms), 'night', A.night)
end
redis.call('HSET', BASE, 'token', A.token, 'owner', A.owner, 'lease_ms', int(NOW + A.lease_ms))
redis.call('HDEL', BASE, 'again_ms')
return { 'ok', campaign('night') }
