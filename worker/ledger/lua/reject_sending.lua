-- Record that Twilio refused the message; the Interaction is to be closed.
-- from SENDING to FAILED (or back to PENDING, where the breaker opens)
-- ARGV[1] row, token, code, stop
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.SENDING) then return refused(r and r.state) end
owe_close(r, h)
fail(r, h, A.code, EVENT.FAILED)
return { 'ok' }
