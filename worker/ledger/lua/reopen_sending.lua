-- Begin anew with a row whose conversation was closed under it: the message was refused and never sent.
-- from SENDING to PENDING
-- ARGV[1] row, token, code, due_in_ms
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.SENDING) then return refused(r and r.state) end
owe_close(r, h)
back(r, h, A.due_in_ms, EVENT.REOPENED, A.code)
return { 'ok' }
