-- End, or begin anew, a row whose Interaction cannot carry the message; the Interaction is to be closed.
-- from OPEN to FAILED | SKIPPED | PENDING
-- ARGV[1] row, token, state, code, stop, due_in_ms (PENDING only), waiting (PENDING: waits for its pair)
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPEN) then return refused(r and r.state) end
owe_close(r, h)
if A.state == STATE.FAILED then
  fail(r, h, A.code, EVENT.FAILED)
elseif A.state == STATE.SKIPPED then
  r.code = A.code
  move(r, STATE.SKIPPED, EVENT.SKIPPED, A.code)
  finish(r, h)
else
  r.code = A.code
  if A.waiting then h.waiting = h.waiting or NOW end
  back(r, h, A.due_in_ms, A.waiting and EVENT.WAITING or EVENT.REOPENED, A.code)
end
return { 'ok' }
