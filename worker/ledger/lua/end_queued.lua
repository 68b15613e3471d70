-- End a queued row without any call: a rule skips it, or it cannot be worked on at all.
-- from QUEUED to SKIPPED | FAILED
-- ARGV[1] row, state (SKIPPED or FAILED), code, arg
-- Returns {'ok'} | {'refused', state}
local r = read(A.row)
if not r or r.state ~= STATE.QUEUED then return refused(r and r.state) end
r.code, r.arg = A.code, A.arg or 0
move(r, A.state, A.state == STATE.FAILED and EVENT.FAILED or EVENT.SKIPPED, A.code)
finish(r, hand(A.row))
return { 'ok' }
