-- Hold an opened or doubtful row while a worker looks after it.
-- from OPEN | DOUBT_OPENING | DOUBT_SENDING to the same
-- ARGV[1] row, token, owner, lease_ms
-- Returns {'ok', record, the campaign's creation in ms, hand as JSON} | {'refused', state or 'held'}
local r, h = read(A.row), hand(A.row)
if not r or (r.state ~= STATE.OPEN and r.state ~= STATE.DOUBT_OPENING and r.state ~= STATE.DOUBT_SENDING) then
  return refused(r and r.state)
end
local lease = redis.call('ZSCORE', key('lease'), int(A.row))
if h.token and h.token ~= A.token and lease and tonumber(lease) > NOW then return refused('held') end
hold(A.row, h)
step()
return shown(pack_row(r), keep(A.row, h))
