-- Note that the customer has written, and whether to ask for no more messages.
-- from any state but INVALID to the same
-- ARGV[1] row, at_ms (when), contact (the customer's fields of the do-not-contact list), opted_out
-- Returns {'ok'} | {'refused', 'old' (that was known) or state}
local r = read(A.row)
if not r then return refused() end
if A.opted_out then suppress(A.contact[1], 'asked for it') end
if r.state == STATE.INVALID then return refused(r.state) end
local answers, rest = split_answers(r.story)
if has_opted_out(answers) or (answers ~= '' and not A.opted_out) then return refused('old') end
if answers == '' then redis.call('HINCRBY', BASE, 'answered', 1) end
if A.opted_out then redis.call('HINCRBY', BASE, 'opted_out', 1) end
local after = ''
if r.state < FIRST_ENDED then r.story, after = answers, rest end -- its last event says what it waits for
tell(r, A.opted_out and EVENT.OPTED_OUT or EVENT.ANSWERED, 0, A.at_ms)
r.story = r.story .. after
step()
save(r)
return { 'ok' }
