-- Send into a conversation that was open before: the rule of the campaign says `use`.
-- from OPENING | OPEN to OPEN (an empty Interaction of our own is to be closed)
-- ARGV[1] row, token, conversation
-- Returns {'ok', record, the campaign's creation in ms, hand as JSON} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) and not held(r, h, STATE.OPEN) then return refused(r and r.state) end
r.conversation = unhex(A.conversation)
owe_close(r, h, true)
h.channel, h.flex_task, h.used, h.opened = nil, nil, true, h.opened or NOW
r.interaction = NONE
move(r, STATE.OPEN, EVENT.USED)
return shown(save(r), keep(A.row, h))
