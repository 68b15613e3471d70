-- Record that the message in doubt was never taken, or that a look before the first request found nothing.
-- from DOUBT_SENDING to OPEN | FAILED (attempts are used up; the Interaction is to be closed)
-- ARGV[1] row, token, due_in_ms, max_attempts, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_SENDING) then return refused(r and r.state) end
tell(r, EVENT.ABSENT_SENT)
local looked_first = h.looking
h.looked, h.looking = h.looking or h.looked, nil
if not looked_first then -- it may show yet, and only there: one more look goes before the next request
  h.lost, h.lost_in, h.lost_send = true, hex('CH', r.conversation), r.send
end
-- Not before it was looked for in all places, where the ledger may be older than what was sent.
if r.attempts >= A.max_attempts and not looked_first and not must_look(h) then
  owe_close(r, h)
  fail(r, h, A.code, EVENT.FAILED)
  return { 'ok' }
end
h.doubt = nil
if not looked_first then r.attempts = math.min(255, r.attempts + 1) end
let_go(A.row, h)
move(r, STATE.OPEN)
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
