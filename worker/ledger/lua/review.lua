-- Leave a doubt to a person: the look-ups gave nothing usable until the deadline.
-- from DOUBT_OPENING | DOUBT_SENDING to NEEDS_REVIEW
-- ARGV[1] row, token, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_OPENING) and not held(r, h, STATE.DOUBT_SENDING) then return refused(r and r.state) end
r.code, r.arg = A.code, r.state
move(r, STATE.NEEDS_REVIEW, EVENT.NEEDS_REVIEW, A.code)
finish(r, h)
return { 'ok' }
