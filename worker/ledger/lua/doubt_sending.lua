-- Record that the message's request went unanswered: the conversation's own messages will tell.
-- from SENDING to DOUBT_SENDING
-- ARGV[1] row, token, due_in_ms, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.SENDING) then return refused(r and r.state) end
h.doubt, h.asked, r.looks = NOW, 0, 0
let_go(A.row, h)
move(r, STATE.DOUBT_SENDING, EVENT.SENDING_UNANSWERED, A.code)
save(r)
keep(A.row, h)
later(A.row, A.due_in_ms)
return { 'ok' }
