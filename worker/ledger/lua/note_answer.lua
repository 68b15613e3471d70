-- Note that the customer has written, and whether to ask for no more messages.
-- from ACCEPTED | NEEDS_REVIEW | FAILED | SKIPPED | CANCELLED to the same
-- ARGV[1] row, at_ms (when), contact (the customer's fields of the do-not-contact list), opted_out
-- Returns {'ok'} | {'refused', 'old' (that was known) or state (its send goes on: to be told again)}
local r = read(A.row)
if not r then return refused() end
if A.opted_out then suppress(A.contact[1], 'asked for it') end
if r.state < FIRST_ENDED or r.state == STATE.INVALID then return refused(r.state) end
local has_answered, has_opted_out = false, false
for at = 1, #r.story, 8 do
  local event = string.byte(r.story, at)
  has_answered = has_answered or event == EVENT.ANSWERED or event == EVENT.OPTED_OUT
  has_opted_out = has_opted_out or event == EVENT.OPTED_OUT
end
if has_opted_out or (has_answered and not A.opted_out) then return refused('old') end
if not has_answered then redis.call('HINCRBY', BASE, 'answered', 1) end
if A.opted_out then redis.call('HINCRBY', BASE, 'opted_out', 1) end
tell(r, A.opted_out and EVENT.OPTED_OUT or EVENT.ANSWERED, 0, A.at_ms)
step()
save(r)
return { 'ok' }
