-- Go on with another Interaction of the same send: the one that holds the customer; the other is to be closed.
-- from OPEN to OPEN, due at once
-- ARGV[1] row, token, interaction, conversation, channel, flex_task
-- Returns {'ok'} | {'refused', state | 'closing' (it is to be closed itself)}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPEN) then return refused(r and r.state) end
local interaction, conversation = unhex(A.interaction), unhex(A.conversation)
if is_closing(A.interaction) then return refused('closing') end
if interaction ~= r.interaction then owe_close(r, h, true) end
r.interaction, r.conversation = interaction, conversation
h.channel, h.flex_task, h.checks, h.seen, h.opened = A.channel, A.flex_task, 0, nil, NOW
let_go(A.row, h)
tell(r, EVENT.FOUND_OPEN)
step()
save(r)
keep(A.row, h)
later(A.row, 0)
return { 'ok' }
