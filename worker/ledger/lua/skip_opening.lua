-- Record that the customer's pair is taken and the campaign's rule is to skip.
-- from OPENING to SKIPPED
-- ARGV[1] row, token, code
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) then return refused(r and r.state) end
r.code = A.code
move(r, STATE.SKIPPED, EVENT.SKIPPED, A.code)
finish(r, h)
return { 'ok' }
