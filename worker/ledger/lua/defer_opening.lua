-- Put a row back whose Interaction was not processed (429, refused connection): nothing was created.
-- from OPENING to PENDING
-- ARGV[1] row, token, due_in_ms, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) then return refused(r and r.state) end
h.tries = (h.tries or 0) + 1
back(r, h, A.due_in_ms, EVENT.OPENING_DEFERRED, A.code)
return { 'ok' }
