-- Begin a new send of a row that failed, or whose message was not delivered, keeping the record of the earlier one.
-- from FAILED | ACCEPTED (undelivered: it goes into the conversation that is open already, where it still is) to PENDING
-- ARGV[1] row, send (the number of the send that failed: a second request for the same does nothing)
-- Returns {'ok', number of the new send} | {'refused', state, 'cancelled' (its rows are still being ended), 'sends' or
--   'follow_up' (one of the row goes on, or may have been sent)}
local SENT_SAYS_OPERATOR = 11 -- the Reason of a row that needs no review any more
local function has_follow_up_on_its_way(row)
  local bucket, field = place(row)
  for _, wave in ipairs(redis.call('SMEMBERS', key('waves'))) do
    local value = redis.call('HGET', ACCOUNT .. 'c:' .. wave .. ':rw:' .. bucket, field)
    local one = value and unpack_row(row, value)
    if one and (one.state < FIRST_ENDED or (one.state == STATE.NEEDS_REVIEW and one.code ~= SENT_SAYS_OPERATOR)) then return true end
  end
  return false
end

local r = read(A.row)
if not r or r.send ~= A.send then return refused(r and r.state) end
local is_undelivered = r.delivery == DELIVERY.UNDELIVERED or r.delivery == DELIVERY.FAILED
if r.state ~= STATE.FAILED and not (r.state == STATE.ACCEPTED and is_undelivered) then return refused(r.state) end
if last_send(r) >= 255 then return refused('sends') end
if not PARENT and has_follow_up_on_its_way(A.row) then return refused('follow_up') end
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
