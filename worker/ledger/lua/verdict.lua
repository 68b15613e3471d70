-- Record what an operator found out about a row that needs review.
-- from NEEDS_REVIEW to ACCEPTED (message SID found at Twilio) | NEEDS_REVIEW (sent, no proof) | PENDING (not sent: a new send)
-- ARGV[1] row, send, verdict ('sent' | 'not_sent'), message ('' = none), code
-- Returns {'ok', state} | {'refused', state}
local r = read(A.row)
if not r or r.state ~= STATE.NEEDS_REVIEW or r.send ~= A.send then return refused(r and r.state) end
tell(r, EVENT.VERDICT, A.verdict == 'sent' and 1 or 2)
if A.verdict == 'sent' and A.message ~= '' then
  r.message, r.code, r.arg = unhex(A.message), 0, 0
  if A.conversation ~= '' then r.conversation = unhex(A.conversation) end
  move(r, STATE.ACCEPTED, EVENT.ACCEPTED)
  finish(r, hand(A.row))
elseif A.verdict == 'sent' then
  r.code = A.code
  move(r, STATE.NEEDS_REVIEW)
  save(r)
else
  local bucket, field = place(A.row)
  local past = key('past:' .. bucket)
  save(r)
  local record = redis.call('HGET', key('rw:' .. bucket), field)
  redis.call('HSET', past, field, (redis.call('HGET', past, field) or '') .. struct.pack('>I2', #record) .. record)
  local h = {}
  owe_close(r, h)
  r.send, r.attempts, r.looks, r.code, r.arg, r.story = r.send + 1, 0, 0, 0, 0, ''
  back(r, h, 0, EVENT.NEW_SEND)
end
return { 'ok', int(r.state) }
