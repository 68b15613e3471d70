-- Let an opened row go, to be looked at again: its channel or its customer isn't there yet, or its slot is far off.
-- from OPEN to OPEN, due later
-- ARGV[1] row, token, due_in_ms, conversation ('' = not known), counted (a check that found nothing), seen (the customer is in it),
--   code (why nobody could say whether they are)
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPEN) then return refused(r and r.state) end
if A.conversation and A.conversation ~= '' then r.conversation = unhex(A.conversation) end
h.why = A.code
if A.seen then h.seen = true end
if A.counted then h.checks = (h.checks or 0) + 1 end
let_go(A.row, h)
step()
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
