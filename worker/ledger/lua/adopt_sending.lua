-- Record that a message was found by our own key: Twilio has it.
-- from DOUBT_SENDING | OPEN to ACCEPTED (OPEN: one that was called absent has shown before the next request)
-- ARGV[1] row, token, message
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_SENDING) and not held(r, h, STATE.OPEN) then return refused(r and r.state) end
r.message, r.code, r.arg = unhex(A.message), 0, 0
tell(r, EVENT.FOUND_SENT)
accept(r, h)
if number('streak_n') > 0 then redis.call('HSET', BASE, 'streak_n', '0') end
return { 'ok' }
