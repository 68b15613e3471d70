-- Claim a row before its Interaction is asked for: intent, owner and lease are on disk before the effect.
-- from QUEUED to OPENING (or to PENDING / CANCELLED, where it may not be opened now; to SKIPPED, where the customer is not to be
--   contacted; or to DOUBT_OPENING, where it is looked up first)
-- KEYS[2] the lock of the pair (customer's address, sender's address); KEYS[3] … the buckets of the slot that it takes, if any
-- ARGV[1] row, token, owner, lease_ms, pair_ms (lease of the pair lock), again_ms (when to try anew),
--   pair_code (why it waits, where another row has the pair), version (of the definition that the row is opened with),
--   cautious (look first in any case), look_in_ms, under_way_ms (how long after its claim a request leaves at the latest),
--   look_only (the caller wants no more), contact (the customer's fields of the do-not-contact list); ARGV[2] … the slot's limits
-- Returns {'ok', record, the campaign's creation in ms, hand as JSON, slot} | {'refused', 'wait' (nothing has changed), slot}
--   | {'refused', 'paused' | 'cancelled' | 'closing' | 'pair' | 'cautious' | 'looked' | 'suppressed' | state}; the slot as slot.lua tells it
local r, h = read(A.row), hand(A.row)
if held(r, h, STATE.OPENING) then -- the same claim again: its first answer was lost on the way
  hold(A.row, h)
  return with_slot(shown(pack_row(r), cjson.encode(h)), slot_again(h, 3))
end
if not r or r.state ~= STATE.QUEUED then return refused(r and r.state) end
local standing = status()
if standing == 'cancelled' then
  cancel(r, h)
  return refused('cancelled')
end
if standing ~= 'running' then
  back(r, h, 0)
  return refused('paused')
end
if is_suppressed(A.contact) then
  skip_suppressed(r, h)
  return refused('suppressed')
end
-- An earlier Interaction of this row still holds the pair: first it is closed.
if is_closing(h.closing) then
  back(r, h, 0)
  return refused('closing')
end
local who = redis.call('GET', KEYS[2])
if who == mine(A.row) then -- an earlier Interaction of the row is to be closed, of a send that has ended since
  back(r, h, A.again_ms)
  return refused('closing')
end
if who then
  r.code = A.pair_code
  back(r, h, A.again_ms, EVENT.WAITING, A.pair_code)
  return refused('pair')
end
if r.code == A.pair_code then r.code = 0 end
local looks = must_look(h)
if A.look_only and not looks then
  back(r, h, 0)
  return refused('looked')
end
local slot = not looks and slot_from(3)
if slot and slot[1] == 'wait' then return { 'refused', 'wait', slot } end
h.pair, h.began, h.after, h.version, h.slot = KEYS[2], NOW, nil, A.version, slot or nil
if looks then
  lock_pair(A.row, h)
  look_first(r, h, STATE.DOUBT_OPENING)
  return refused('cautious')
end
redis.call('ZREM', key('queued'), int(A.row))
redis.call('SET', KEYS[2], mine(A.row), 'PX', int(A.pair_ms))
lease(A.row, h)
r.looks = 0
move(r, STATE.OPENING, EVENT.OPENING, nil, slot and 'slots')
return with_slot(shown(save(r), keep(A.row, h)), slot)
