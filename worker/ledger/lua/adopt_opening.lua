-- Record that the Interaction in doubt was found by our own key: it is ours, and the row goes on from there.
-- from DOUBT_OPENING | OPENING to OPEN (OPENING: a pair that is busy with our own Interaction)
-- ARGV[1] row, token, interaction, conversation, channel, flex_task; others {{interaction, channel}}: further ones with
--   the same key, which are to be closed
-- Returns {'ok', record, the campaign's creation in ms, hand as JSON} | {'refused', state | 'closing' (it is to be closed itself)}
local r, h = read(A.row), hand(A.row)
if held(r, h, STATE.OPEN) and r.interaction == unhex(A.interaction) then return shown(pack_row(r), cjson.encode(h)) end -- a lost answer's repeat
if not held(r, h, STATE.DOUBT_OPENING) and not held(r, h, STATE.OPENING) then return refused(r and r.state) end
if is_closing(A.interaction) then return refused('closing') end
close_others(A.row)
r.interaction, r.conversation = unhex(A.interaction), unhex(A.conversation)
h.channel, h.flex_task, h.tries, h.doubt, h.looking, h.opened = A.channel, A.flex_task, 0, nil, nil, NOW
move(r, STATE.OPEN, EVENT.FOUND_OPEN)
return shown(save(r), keep(A.row, h))
