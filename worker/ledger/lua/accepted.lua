-- Record that Twilio took the message: it answered with a message SID.
-- from SENDING to ACCEPTED
-- ARGV[1] row, token, message
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.SENDING) then return refused(r and r.state) end
r.message, r.code, r.arg = unhex(A.message), 0, 0
accept(r, h)
if number('streak_n') > 0 then redis.call('HSET', BASE, 'streak_n', '0') end
return { 'ok' }
