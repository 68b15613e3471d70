-- Put an opened row off whose message was not processed (429, refused connection).
-- from SENDING to OPEN, due later
-- ARGV[1] row, token, due_in_ms, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.SENDING) then return refused(r and r.state) end
h.tries = (h.tries or 0) + 1
let_go(A.row, h)
move(r, STATE.OPEN, EVENT.SENDING_DEFERRED, A.code)
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
