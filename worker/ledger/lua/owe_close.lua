-- Note an Interaction of our own key that is to be closed: nothing can be sent into its conversation any more.
-- of a row in DOUBT_OPENING that the caller holds: one who lost it might close what the next holder goes on with
-- ARGV[1] row, token, interaction, channel (SIDs)
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.DOUBT_OPENING) then return refused(r and r.state) end
if not is_closing(A.interaction) then note_close(A.interaction, A.row, A.channel) end
return { 'ok' }
