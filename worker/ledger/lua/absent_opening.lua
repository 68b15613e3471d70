-- Record that the Interaction in doubt was never created, or that a look before the first request found nothing.
-- from DOUBT_OPENING to PENDING | CANCELLED (the campaign is cancelled) | FAILED (attempts are used up)
-- ARGV[1] row, token, due_in_ms, max_attempts, code (of a send given up)
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_OPENING) then return refused(r and r.state) end
tell(r, EVENT.ABSENT_OPEN)
local looked_first = h.looking
h.looked, h.looking = h.looking or h.looked, nil
h.lost = h.lost or not looked_first or nil -- it may show yet: one more look goes before the next request
if status() == 'cancelled' then
  cancel(r, h)
-- Not before it was looked for in all places, where the ledger may be older than what was sent.
elseif r.attempts >= A.max_attempts and not looked_first and not must_look(h) then
  fail(r, h, A.code, EVENT.FAILED)
else
  back(r, h, A.due_in_ms)
end
return { 'ok' }
