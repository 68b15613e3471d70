-- Record that a row's message was found before anything was asked for: it was sent, and the ledger did not know it.
-- from OPENING | DOUBT_OPENING | DOUBT_SENDING to ACCEPTED (an Interaction that is not the message's is to be closed;
--   OPENING: one that was called absent has shown before the next request)
-- ARGV[1] row, token, send (of the message), message, conversation, interaction (SIDs; '' = not known); others {{interaction, channel}}:
--   further ones of the row's own, which are to be closed
-- Returns {'ok'} | {'refused', state}
local r, h = read(A.row), hand(A.row)
if not held(r, h, STATE.OPENING) and not held(r, h, STATE.DOUBT_OPENING) and not held(r, h, STATE.DOUBT_SENDING) then
  return refused(r and r.state)
end
local message, conversation, interaction = unhex(A.message), unhex(A.conversation), unhex(A.interaction)
if conversation ~= r.conversation then
  if interaction ~= r.interaction then owe_close(r, h) end
  r.conversation, r.interaction = conversation, interaction
end
close_others(A.row)
r.message, r.send, r.code, r.arg = message, math.max(r.send, A.send), 0, 0
tell(r, EVENT.FOUND_SENT)
accept(r, h)
if number('streak_n') > 0 then redis.call('HSET', BASE, 'streak_n', '0') end
return { 'ok' }
