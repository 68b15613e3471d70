-- Send to a row of the campaign once more: put it into a wave. Once, whatever is restarted; the campaign's own record stays.
-- from - to PENDING
-- KEYS[2] the campaign
-- ARGV[1] row, send (of the campaign's record when it was found to be due), conversation (SID of the row's latest message's),
--   latest (the highest number of its sends, waves' too, as they were then), unless_answered (nobody must have answered meanwhile)
-- Returns {'ok', number of the send} | {'refused', 'there' | 'stopped' | 'answered' | 'opted_out' | 'sends' | 'changed'}
unhex(A.conversation)
if status() == 'cancelled' then return refused('stopped') end
if not CREATED_MS or read(A.row) then return refused('there') end
local first = first_of(A.row)
if not first or first.state ~= STATE.ACCEPTED or first.send ~= A.send then return refused('changed') end
local answers = split_answers(first.story)
if has_opted_out(answers) then return refused('opted_out') end
if answers ~= '' and A.unless_answered then return refused('answered') end
local latest = last_send(first)
if A.latest and latest ~= A.latest then return refused('changed') end -- another run has begun another follow-up of it
local send = latest + 1
if send > 255 then return refused('sends') end
redis.call('HSET', WAVED, int(A.row), int(send))
local r = { row = A.row, state = STATE.PENDING, send = send, attempts = 0, looks = 0, code = 0, arg = 0, interaction = NONE,
  conversation = NONE, message = NONE, address = first.address, delivery = 0, delivery_code = 0, story = '' }
redis.call('HINCRBY', BASE, 'n' .. int(STATE.PENDING), 1)
tell(r, EVENT.NEW_SEND)
step()
save(r)
keep(A.row, A.conversation ~= '' and { adopt = A.conversation } or {})
due(A.row, 0)
redis.call('SADD', ACCOUNT .. 'active', ID)
return { 'ok', int(send) }
