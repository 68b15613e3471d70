-- Claim an opened row before its message is asked for.
-- from OPEN to SENDING
-- ARGV[1] row, token, owner, lease_ms, conversation
-- Returns {'ok', now in ms} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if held(r, h, STATE.SENDING) then -- the same claim again: its first answer was lost on the way
  hold(A.row, h)
  return { 'ok', int(NOW) }
end
if not held(r, h, STATE.OPEN) then return refused(r and r.state) end
r.conversation = unhex(A.conversation)
r.looks = 0
hold(A.row, h)
h.began = NOW
move(r, STATE.SENDING, EVENT.SENDING)
save(r)
keep(A.row, h)
return { 'ok', int(NOW) }
