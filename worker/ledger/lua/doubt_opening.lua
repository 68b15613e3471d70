-- Record that the Interaction's request went unanswered: it is looked up, never repeated.
-- from OPENING to DOUBT_OPENING
-- ARGV[1] row, token, due_in_ms (first look), code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) then return refused(r and r.state) end
h.doubt, h.asked, r.looks = NOW, 0, 0
r.attempts = math.min(255, r.attempts + 1)
let_go(A.row, h)
move(r, STATE.DOUBT_OPENING, EVENT.OPENING_UNANSWERED, A.code)
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
