-- Begin a new send of a row that failed, or whose message was not delivered, keeping the record of the earlier one.
-- from FAILED | ACCEPTED (undelivered: it goes into the conversation that is open already, where it still is) to PENDING
-- ARGV[1] row, send (the number of the send that failed: a second request for the same does nothing)
-- Returns {'ok', number of the new send} | {'refused', state, 'cancelled' (its rows are still being ended) or 'sends'}
local r = read(A.row)
if not r or r.send ~= A.send then return refused(r and r.state) end
local is_undelivered = r.delivery == DELIVERY.UNDELIVERED or r.delivery == DELIVERY.FAILED
if r.state ~= STATE.FAILED and not (r.state == STATE.ACCEPTED and is_undelivered) then return refused(r.state) end
if last_send(r) >= 255 then return refused('sends') end
if PARENT and status() == 'cancelled' then return refused('cancelled') end
if campaign('state') == 'cancelled' then
  -- Going on would open the rows, too, that the cancelling has not come to yet.
  if left() > 0 then return refused('cancelled') end
  redis.call('HSET', BASE, 'state', 'running', 'streak_n', '0')
end
if r.state == STATE.ACCEPTED then
  begin_anew(r, { adopt = hex('CH', r.conversation) })
else
  begin_anew(r, { closing = hex('KD', r.interaction), lost = was_lost(r) })
end
return { 'ok', int(r.send) }
