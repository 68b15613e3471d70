-- Let an opened row go, to be looked at again: its channel or its customer isn't there yet, or its slot is far off.
-- from OPEN to OPEN, due later
-- KEYS[2], where it waits for a sender's slot: when the last of those comes back who wait for this sender, ms
-- ARGV[1] row, token, due_in_ms, conversation ('' = not known), counted (a check that found nothing), seen (the customer is in it),
--   code (why nobody could say whether they are), interval_ms (between two slots of that sender)
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPEN) then return refused(r and r.state) end
if A.conversation and A.conversation ~= '' then r.conversation = unhex(A.conversation) end
h.why = A.code
local was_seen = h.seen
if A.seen then h.seen = true end
if A.counted then h.checks = (h.checks or 0) + 1 end
let_go(A.row, h)
step()
save(r)
keep(A.row, h)
local MOST_OTHERS = 100 -- rows of other campaigns before the same sender
local in_ms = A.due_in_ms
-- One that has waited and finds its slot soon stays at the head.
if KEYS[2] and not (was_seen and in_ms <= A.interval_ms / 2) then
  -- One behind the other: were all due with the next slot, all but one would be looked after for nothing, again and again.
  local behind_ms = tonumber(redis.call('GET', KEYS[2]) or 0) + A.interval_ms - NOW
  -- Not for ever, should the clock have stepped back: few rows are opened before a slow sender.
  in_ms = math.max(in_ms, math.min(behind_ms, in_ms + (number('n4') + MOST_OTHERS) * A.interval_ms))
  redis.call('SET', KEYS[2], int(NOW + in_ms), 'PX', int(in_ms + A.interval_ms + 1000))
end
later(A.row, in_ms)
return { 'ok' }
