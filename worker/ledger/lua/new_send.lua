-- Begin a new send of a row that failed, keeping the record of the earlier one.
-- from FAILED to PENDING
-- ARGV[1] row, send (the number of the send that failed: a second request for the same does nothing)
-- Returns {'ok', number of the new send} | {'refused', state, 'cancelled' (its rows are still being ended) or 'sends'}
local r = read(A.row)
if not r or r.state ~= STATE.FAILED or r.send ~= A.send then return refused(r and r.state) end
if r.send == 255 then return refused('sends') end
if campaign('state') == 'cancelled' then
  -- Going on would open the rows, too, that the cancelling has not come to yet.
  if left() > 0 then return refused('cancelled') end
  redis.call('HSET', BASE, 'state', 'running', 'streak_n', '0')
end
begin_anew(r, { closing = hex('KD', r.interaction), lost = was_lost(r) })
return { 'ok', int(r.send) }
