-- Put a row back to wait until its pair is free; it is looked up by address before it is opened again.
-- from OPENING to PENDING
-- ARGV[1] row, token, code, due_in_ms
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) then return refused(r and r.state) end
r.code, h.waiting = A.code, h.waiting or NOW
back(r, h, A.due_in_ms, EVENT.WAITING, A.code)
return { 'ok' }
