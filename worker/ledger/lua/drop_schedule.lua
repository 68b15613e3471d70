-- Take a schedule out of the timetable, with its nights and the files it has taken; whoever holds a night has lost it.
-- KEYS[2] names of the schedules
-- ARGV[1] id (its name)
-- Returns {'ok'} | {'refused', 'gone'}
if redis.call('SREM', KEYS[2], A.id) == 0 then return refused('gone') end
redis.call('DEL', BASE, key('nights'), key('taken'))
return { 'ok' }
