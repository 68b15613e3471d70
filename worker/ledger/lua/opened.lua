-- Record that Twilio took the Interaction on; the holder goes on to the message.
-- from OPENING to OPEN
-- ARGV[1] row, token, interaction, conversation, channel, flex_task (SIDs; '' = not known yet)
-- Returns {'ok', record, the campaign's creation in ms, hand as JSON} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if held(r, h, STATE.OPEN) and r.interaction == unhex(A.interaction) then return shown(pack_row(r), cjson.encode(h)) end -- a lost answer's repeat
if not held(r, h, STATE.OPENING) then return refused(r and r.state) end
r.interaction, r.conversation = unhex(A.interaction), unhex(A.conversation)
r.attempts = math.min(255, r.attempts + 1)
h.channel, h.flex_task, h.tries, h.opened, h.slot = A.channel, A.flex_task, 0, NOW, nil
move(r, STATE.OPEN, EVENT.OPENED)
return shown(save(r), keep(A.row, h))
