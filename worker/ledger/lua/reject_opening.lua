-- Record that Twilio refused the Interaction of this row.
-- from OPENING to FAILED (or back to PENDING, where the breaker opens)
-- ARGV[1] row, token, code, stop (the code speaks against the whole campaign)
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) then return refused(r and r.state) end
r.attempts = math.min(255, r.attempts + 1)
fail(r, h, A.code, EVENT.FAILED)
return { 'ok' }
