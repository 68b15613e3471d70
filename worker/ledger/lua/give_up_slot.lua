-- Put a claimed row back before anything was sent: the slot came too late, or the lease is nearly over.
-- from OPENING to PENDING, or from SENDING to OPEN
-- ARGV[1] row, token, due_in_ms
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if held(r, h, STATE.OPENING) then
  back(r, h, A.due_in_ms, EVENT.GIVEN_UP)
  return { 'ok' }
end
if not held(r, h, STATE.SENDING) then return refused(r and r.state) end
let_go(A.row, h)
h.seen = true -- nobody claims it to send before the customer was there
move(r, STATE.OPEN, EVENT.GIVEN_UP)
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
