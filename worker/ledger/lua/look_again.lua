-- Note a look that did not settle a doubt, and when the next one is due.
-- from DOUBT_OPENING | DOUBT_SENDING to the same, due later
-- ARGV[1] row, token, due_in_ms, empty (the look was usable and found nothing), code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_OPENING) and not held(r, h, STATE.DOUBT_SENDING) then return refused(r and r.state) end
h.asked = (h.asked or 0) + 1
h.why = not A.empty and A.code ~= 0 and A.code or nil
if A.empty then r.looks = math.min(255, r.looks + 1) end
let_go(A.row, h)
tell(r, EVENT.LOOKED, A.empty and 0 or A.code)
step()
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
