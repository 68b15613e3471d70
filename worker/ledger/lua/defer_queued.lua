-- Give a queued row back, because its slot in the pace is too far off: no worker thread waits for it.
-- from QUEUED to PENDING
-- ARGV[1] row, due_in_ms; code and wait_until_ms (0 = not to be kept): what a waiting row waits for
-- Returns {'ok'} | {'refused', state}
local r = read(A.row)
if not r or r.state ~= STATE.QUEUED then return refused(r and r.state) end
local h = hand(A.row)
if A.code then r.code = A.code end
if A.waiting_since then h.waiting = h.waiting or NOW end
back(r, h, A.due_in_ms, A.code and A.code > 0 and EVENT.WAITING or nil, A.code)
return { 'ok' }
