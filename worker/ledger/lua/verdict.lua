-- Record what an operator found out about a row that needs review.
-- from NEEDS_REVIEW to ACCEPTED (message SID found at Twilio) | NEEDS_REVIEW (sent, no proof) | PENDING (not sent: a new send)
--   | CANCELLED (not sent, and the campaign is cancelled)
-- ARGV[1] row, send, verdict ('sent' | 'not_sent'), message ('' = none), code
-- Returns {'ok', state} | {'refused', state}
local r = read(A.row)
if not r or r.state ~= STATE.NEEDS_REVIEW or r.send ~= A.send then return refused(r and r.state) end
if A.verdict ~= 'sent' and last_send(r) >= 255 then return refused('sends') end
tell(r, EVENT.VERDICT, A.verdict == 'sent' and 1 or 2)
if A.verdict == 'sent' and A.message ~= '' then
  r.message, r.code, r.arg = unhex(A.message), 0, 0
  if A.conversation ~= '' then r.conversation = unhex(A.conversation) end
  accept(r, hand(A.row))
elseif A.verdict == 'sent' then
  r.code = A.code
  move(r, STATE.NEEDS_REVIEW)
  save(r)
else
  local h = { lost = true }
  owe_close(r, h)
  if status() == 'cancelled' then
    cancel(r, h)
  else
    begin_anew(r, h)
  end
end
return { 'ok', int(r.state) }
