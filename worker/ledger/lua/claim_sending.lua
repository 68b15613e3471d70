-- Claim an opened row before its message is asked for.
-- from OPEN to SENDING (or to DOUBT_SENDING, where it is looked up first; or to SKIPPED, where the customer is not to be contacted any
--   more: the Interaction is to be closed)
-- KEYS[2] … the buckets of the slot that it takes, if any
-- ARGV[1] row, token, owner, lease_ms, conversation ('' = not known yet), cautious, look_in_ms, under_way_ms, look_only,
--   contact: see claim_opening; ARGV[2] … the slot's limits
-- Returns {'ok', now in ms, slot} | {'refused', 'wait' (nothing has changed), slot} | {'refused', 'cautious' | 'looked' (it stays OPEN and held) | 'suppressed' | state}
local r, h = read(A.row), hand(A.row)
if held(r, h, STATE.SENDING) then -- the same claim again: its first answer was lost on the way
  lease(A.row, h)
  return with_slot({ 'ok', int(NOW) }, slot_again(h, 2))
end
if not held(r, h, STATE.OPEN) then return refused(r and r.state) end
local looks = must_look(h)
if A.look_only and not looks then return refused('looked') end
if A.conversation ~= '' then r.conversation = unhex(A.conversation) end
if looks then
  look_first(r, h, STATE.DOUBT_SENDING)
  return refused('cautious')
end
if is_suppressed(A.contact) then
  owe_close(r, h)
  skip_suppressed(r, h)
  return refused('suppressed')
end
local slot = slot_from(2)
if slot and slot[1] == 'wait' then return { 'refused', 'wait', slot } end
r.looks = 0
lease(A.row, h)
h.began, h.slot = NOW, slot
move(r, STATE.SENDING, EVENT.SENDING)
save(r)
keep(A.row, h)
return with_slot({ 'ok', int(NOW) }, slot)
