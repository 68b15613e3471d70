-- Take a row from a holder whose lease is over, or whose process is known to be dead.
-- from OPENING to DOUBT_OPENING; SENDING to DOUBT_SENDING; OPEN and DOUBT_* are due again
-- ARGV[1] row, owner (a dead holder; absent: only where the lease is over), due_in_ms (first look), code
-- Returns {'ok', state it is in now} | {'refused', state or 'held'}
local r, h = read(A.row), hand(A.row)
local lease = redis.call('ZSCORE', key('lease'), int(A.row))
if not r or not lease then return refused(r and r.state) end
if tonumber(lease) > NOW and not (A.owner and h.owner == A.owner) then return refused('held') end
let_go(A.row, h)
if r.state == STATE.OPENING or r.state == STATE.SENDING then
  h.doubt, h.asked, r.looks = NOW, 0, 0
  if r.state == STATE.OPENING then r.attempts = math.min(255, r.attempts + 1) end
  move(r, r.state == STATE.OPENING and STATE.DOUBT_OPENING or STATE.DOUBT_SENDING, EVENT.LEASE_OVER, A.code)
  save(r)
  later(A.row, A.due_in_ms)
elseif r.state == STATE.OPEN or r.state == STATE.DOUBT_OPENING or r.state == STATE.DOUBT_SENDING then
  step()
  later(A.row, 0)
end
keep(A.row, h)
return { 'ok', int(r.state) }
