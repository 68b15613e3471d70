-- Put a schedule into the timetable, unless there is one of that name.
-- KEYS[2] names of the schedules
-- ARGV[1] id (its name), schedule (JSON)
-- Returns {'ok', now in ms} | {'refused', 'there'}
if redis.call('HEXISTS', BASE, 'schedule') == 1 then return refused('there') end
redis.call('HSET', BASE, 'schedule', A.schedule, 'made_ms', int(NOW))
redis.call('SADD', KEYS[2], A.id)
return { 'ok', int(NOW) }
