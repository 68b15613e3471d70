-- Note that a schedule has taken a customers' file, by its content; from then on it is left, under whatever name.
-- ARGV[1] token, night (JSON), sha256, file (JSON)
-- Returns {'ok'} | {'refused', 'lost'}
if campaign('token') ~= A.token then return refused('lost') end
redis.call('HSETNX', key('taken'), A.sha256, A.file)
redis.call('HSET', BASE, 'night', A.night)
return { 'ok' }
