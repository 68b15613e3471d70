-- Record that the message in doubt was never taken.
-- from DOUBT_SENDING to OPEN | FAILED (attempts are used up; the Interaction is to be closed)
-- ARGV[1] row, token, due_in_ms, max_attempts, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_SENDING) then return refused(r and r.state) end
tell(r, EVENT.ABSENT_SENT)
h.lost = true -- it may show yet: one more look goes before the next request
if r.attempts >= A.max_attempts then
  owe_close(r, h)
  fail(r, h, A.code, EVENT.FAILED)
  return { 'ok' }
end
h.doubt = nil
r.attempts = math.min(255, r.attempts + 1)
let_go(A.row, h)
move(r, STATE.OPEN)
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
