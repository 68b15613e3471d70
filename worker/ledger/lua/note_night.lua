-- Write down how a night of the timetable goes on: it is held on to, left to be tried again, or has ended.
-- ARGV[1] token, night (JSON); lease_ms: held on to; again_in_ms: left, to be tried again then; neither: ended
-- Returns {'ok'} | {'refused', 'lost'}: somebody else has it, or the schedule is gone
local KEPT = 60
if campaign('token') ~= A.token then return refused('lost') end
redis.call('HSET', BASE, 'night', A.night)
if A.lease_ms then
  redis.call('HSET', BASE, 'lease_ms', int(NOW + A.lease_ms))
  return { 'ok' }
end
redis.call('HDEL', BASE, 'token', 'owner', 'lease_ms')
if A.again_in_ms then
  redis.call('HSET', BASE, 'again_ms', int(NOW + A.again_in_ms))
  return { 'ok' }
end
redis.call('LPUSH', key('nights'), A.night)
redis.call('LTRIM', key('nights'), 0, KEPT - 1)
redis.call('HSET', BASE, 'settled_ms', campaign('night_ms'))
redis.call('HDEL', BASE, 'night', 'night_ms', 'again_ms')
return { 'ok' }
