-- The head of every ledger script: the record of a row, its moves, the breaker, the clock.
--
-- KEYS[1] the campaign's hash; its other keys are this name with a suffix (see keys.py), all in one hash slot.
-- ARGV[1] JSON of named arguments; times in ms. `now_ms` is passed by tests only: else Redis's own clock counts.
-- floor, born: how far the caller has seen this very campaign come.
-- A script answers {'ok', …} or {'refused', why}: refused means that nothing was changed. _tail.lua runs it, and adds how
-- far the campaign has come with it.
local BASE = KEYS[1]
local ACCOUNT, ID = string.match(BASE, '^(o:{.-}:)c?:?(.*)$')
local PARENT = string.find(BASE, '.f', 1, true) and string.match(BASE, '^(.*)%.f%d+%-%d+$') or nil -- of a wave: the campaign whose rows it sends to once more
local A = cjson.decode(ARGV[1])

local FORMAT = '>BBBBI3I4c16c16c16c8BI3'
local BUCKET = 64
local NONE = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
local CODED = 128 -- added to an event that a code follows; most have none
local STORY_FIRST = 8 -- events at the beginning that are always kept
local STORY_SIZE = 784 -- bytes
local STREAK_LIMIT = 20
local PAIR_MS = 600000 -- lease of a pair's lock, begun anew whenever its row is held
local CLOSING_MS = 30000 -- a row whose Interaction is being closed is due again by then; at once when it is closed
local PIECE = 500 -- rows that one script puts back at most: some ms

local STATE = { PENDING = 0, QUEUED = 1, OPENING = 2, DOUBT_OPENING = 3, OPEN = 4, SENDING = 5, DOUBT_SENDING = 6,
  ACCEPTED = 7, FAILED = 8, INVALID = 9, SKIPPED = 10, NEEDS_REVIEW = 11, CANCELLED = 12 }
local FIRST_ENDED = 7 -- ACCEPTED
local NO_ANSWER = 7 -- the Reason of a send whose every request went unanswered
local LOST = 1 -- `arg` of a send that failed after one of its requests went unanswered and was called absent
local EVENT = { OPENING = 1, OPENED = 2, SENDING = 3, ACCEPTED = 4, OPENING_DEFERRED = 5, SENDING_DEFERRED = 6, FAILED = 7,
  OPENING_UNANSWERED = 8, SENDING_UNANSWERED = 9, FOUND_OPEN = 10, FOUND_SENT = 11, ABSENT_OPEN = 12, ABSENT_SENT = 13,
  LOOKED = 14, NEEDS_REVIEW = 15, WAITING = 16, SKIPPED = 17, PUT_BACK = 18, NEW_SEND = 19, VERDICT = 20, CANCELLED = 21,
  GIVEN_UP = 22, REOPENED = 23, USED = 24, LEASE_OVER = 25, LOOKING_FIRST = 26, DELIVERED = 27, READ = 28, UNDELIVERED = 29,
  DELIVERY_FAILED = 30, ANSWERED = 31, OPTED_OUT = 32 }
local DELIVERY = { SENT = 1, DELIVERED = 2, UNDELIVERED = 3, FAILED = 4, READ = 5 }
local DELIVERY_EVENT = { [2] = EVENT.DELIVERED, [3] = EVENT.UNDELIVERED, [4] = EVENT.DELIVERY_FAILED, [5] = EVENT.READ }
local SUPPRESSED = 3 -- the Reason of a row whose customer is on the do-not-contact list
local OPT_OUT = { [21610] = true, [63014] = true } -- Twilio: the customer wants no messages from this sender
local FIRST_POLL_MS = 1000
local OUTCOMES = 20000 -- nobody asks for more of the latest

local NOW = A.now_ms or math.floor(now_in_us() / 1000)

local function key(name) return BASE .. ':' .. name end
local function refused(why) return { 'refused', tostring(why) } end
local function campaign(field) return redis.call('HGET', BASE, field) or nil end
local function number(field) return tonumber(redis.call('HGET', BASE, field) or 0) end

-- How far the campaign has come: one more with every transition, for it tells an older ledger from a newer one.
local SEQ, BORN, CREATED_MS, CAUTION = unpack(redis.call('HMGET', BASE, 'seq', 'born', 'created_ms', 'cautious'))
SEQ, CAUTION = tonumber(SEQ or 0), tonumber(CAUTION or 0) -- of a ledger that is no older one the caution is 0
local function step(counts, n) -- `counts`: fields and values of the campaign that change with it; `n`: of so many transitions
  SEQ = SEQ + (n or 1)
  redis.call('HSET', BASE, 'seq', int(SEQ), unpack(counts or {}))
  if PARENT then redis.call('HINCRBY', PARENT, 'seq', n or 1) end -- so that an older campaign is noticed though its waves are gone
end

-- Somebody has seen more of this campaign than there is: an older ledger has been put back. From here on each row is
-- looked up before anything is sent for it, and the numbers go on above those that were seen.
if BORN and A.floor and SEQ < A.floor and (not A.born or A.born == BORN) then
  local behind = A.floor - SEQ
  SEQ, CAUTION = A.floor + 1, A.floor + 1
  redis.call('HSET', BASE, 'seq', int(SEQ), 'cautious', int(CAUTION), 'cautious_ms', int(NOW), 'behind', int(behind))
end
-- A wave that was lost with an older ledger is begun anew: its rows are looked up because the campaign's are.
if PARENT then CAUTION = math.max(CAUTION, tonumber(redis.call('HGET', PARENT, 'cautious') or 0)) end
local function cautious_ms()
  return math.max(number('cautious_ms'), PARENT and tonumber(redis.call('HGET', PARENT, 'cautious_ms') or 0) or 0)
end
-- Whether rows may be opened: a wave heeds its campaign's pause and end, and that its follow-ups were stopped.
local function status()
  local above = PARENT and redis.call('HMGET', PARENT, 'state', 'follow_ups') or {}
  if above[1] == 'cancelled' or above[2] == 'stopped' then return 'cancelled' end
  return above[1] == 'paused' and 'paused' or campaign('state')
end

local function place(row)
  local field = (row - 1) % BUCKET
  return int((row - 1 - field) / BUCKET), int(field)
end

local function unhex(sid) -- 'KD…' with 32 hex digits -> 16 bytes; nothing -> NONE
  if not sid or sid == cjson.null or sid == '' then return NONE end
  -- Raised before anything is written: half a transition would be worse than none.
  if #sid ~= 34 or not string.find(sid, '^%u%u%x+$') then error('a SID is two letters and 32 hex digits') end
  -- Four numbers of eight digits: calling Lua for each byte would cost a tenth of a script.
  local function part(at) return tonumber(string.sub(sid, at, at + 7), 16) end
  return struct.pack('>I4I4I4I4', part(3), part(11), part(19), part(27))
end
local function hex(prefix, bytes)
  if bytes == NONE then return nil end
  return string.format('%s%08x%08x%08x%08x', prefix, struct.unpack('>I4I4I4I4', bytes))
end

local function unpack_row(row, value)
  local state, send, attempts, looks, code, arg, interaction, conversation, message, address, delivery, delivery_code, story =
    struct.unpack(FORMAT, value)
  return { row = row, state = state, send = send, attempts = attempts, looks = looks, code = code, arg = arg,
    interaction = interaction, conversation = conversation, message = message, address = address, delivery = delivery,
    delivery_code = delivery_code, story = string.sub(value, story),
    was = state } -- as it was read, whatever becomes of it
end

local function read(row)
  local bucket, field = place(row)
  local value = redis.call('HGET', key('rw:' .. bucket), field)
  return value and unpack_row(row, value) or nil
end

local function pack_row(r)
  return struct.pack(FORMAT, r.state, r.send, r.attempts, r.looks, r.code, r.arg, r.interaction, r.conversation, r.message,
    r.address, r.delivery, r.delivery_code) .. r.story
end
local function save(r)
  local bucket, field = place(r.row)
  local packed = pack_row(r)
  redis.call('HSET', key('rw:' .. bucket), field, packed)
  return packed
end

-- An event of the story: what (1 byte), when (4: steps of 10 ms since the campaign's creation) and, where it has one, its code (3).
local function next_event(story, at) return at + (string.byte(story, at) < CODED and 5 or 8) end

-- The story is bounded: where it is full, what lies between its beginning and its end is dropped.
local function tell(r, event, code, at_ms)
  local since = math.min(4294967295, math.max(0, math.floor(((at_ms or NOW) - tonumber(CREATED_MS)) / 10)))
  local has_code = code and code ~= 0
  r.story = r.story .. (has_code and struct.pack('>BI4I3', CODED + event, since, code) or struct.pack('>BI4', event, since))
  while #r.story > STORY_SIZE do
    local at = 1
    for _ = 1, STORY_FIRST do at = next_event(r.story, at) end
    r.story = string.sub(r.story, 1, at - 1) .. string.sub(r.story, next_event(r.story, at))
  end
end

-- What a row waits for is told once, however often it is looked at meanwhile.
local function is_told(r, event, code)
  if event ~= EVENT.WAITING or r.story == '' then return false end
  local last, at = 1, 1
  while at <= #r.story do last, at = at, next_event(r.story, at) end
  local what, _, why = struct.unpack('>BI4I3', string.sub(r.story, last) .. '\0\0\0')
  return what % CODED == event and why == code
end

-- The do-not-contact list: a contact is asked for under each of its fields, and kept under the first. Where the list is salted,
-- fields are hashed here, so that nobody can ask for one in a form that the list has not any more.
local DNC = ACCOUNT .. 'dnc'
local SALT
local function salted(field)
  SALT = SALT or redis.call('GET', DNC .. ':salt') or ''
  return SALT ~= '' and redis.sha1hex(SALT .. field) or field
end
local function is_suppressed(fields)
  local forms = {}
  for n, field in ipairs(fields or {}) do forms[2 * n - 1], forms[2 * n] = salted(field), field end
  for _, entry in ipairs(#forms > 0 and redis.call('HMGET', DNC, unpack(forms)) or {}) do
    if entry then return true end
  end
  return false
end
local function suppress(field, reason)
  return redis.call('HSETNX', DNC, salted(field), cjson.encode({ reason = reason, date_ms = NOW }))
end
local function heed_opt_out(code) -- what Twilio says of the customer of this very call
  if OPT_OUT[code] and A.contact then suppress(A.contact[1], 'Twilio ' .. int(code)) end
end

-- Rows are found by their conversation: a bucket for 64 rows, and there the last four bytes of the SID.
local function place_of_conversation(conversation)
  local high, low = struct.unpack('>I4c4', string.sub(conversation, 9))
  local rows = math.max(number('rows'), A.in_all or 0) -- a campaign that is being loaded anew has no number of rows yet
  return key('cv:' .. int(high % math.max(1, math.ceil(rows / BUCKET)))), low
end
-- From now on its delivery is asked for, and a reply is looked for in its conversation.
local function listen(r)
  local bucket = place(r.row)
  if redis.call('ZADD', key('polls'), 'LT', int(NOW + FIRST_POLL_MS), bucket) == 1 then -- else it is there already
    redis.call('SADD', ACCOUNT .. 'polling', ID)
    redis.call('SADD', ACCOUNT .. 'heard', ID)
  end
  if r.conversation == NONE then return end
  local name, field = place_of_conversation(r.conversation)
  if redis.call('HSETNX', name, field, int(r.row)) == 1 then return end
  local rows = redis.call('HGET', name, field)
  if not string.find(',' .. rows .. ',', ',' .. int(r.row) .. ',', 1, true) then
    redis.call('HSET', name, field, rows .. ',' .. int(r.row))
  end
end

-- How the deliveries of the rows' present sends are counted; `by` is 1 or -1.
local function count_delivery(r, by)
  if r.delivery == 0 then return end
  redis.call('HINCRBY', BASE, 'd' .. int(r.delivery), by)
  if r.delivery == DELIVERY.UNDELIVERED or r.delivery == DELIVERY.FAILED then
    local name = 'dc' .. int(r.delivery_code)
    if redis.call('HINCRBY', BASE, name, by) <= 0 then redis.call('HDEL', BASE, name) end
  end
end

-- The counts of two states after `n` rows have gone from one to the other, and one more of what `also` counts.
local function counted(from, to, n, also)
  local from_n, to_n = 'n' .. from, 'n' .. to
  local counts = redis.call('HMGET', BASE, unpack({ from_n, to_n, also }))
  return { from_n, int((counts[1] or 0) - n), to_n, int((counts[2] or 0) + n), also, also and int((counts[3] or 0) + 1) }
end

-- Put a row into another state: counts, sequence number, story and, where its send has ended, the outcome stream.
local function move(r, to, event, code, also)
  step(r.state ~= to and counted(r.state, to, 1, also))
  r.state = to
  if event and not is_told(r, event, code) then tell(r, event, code) end
  if to >= FIRST_ENDED and to ~= STATE.CANCELLED then
    redis.call('XADD', key('out'), 'MAXLEN', '~', OUTCOMES, '*', 's', int(to))
  end
end

local function hand(row)
  local value = redis.call('HGET', key('hand'), int(row))
  return value and cjson.decode(value) or {}
end
local function keep(row, h)
  local json = next(h) and cjson.encode(h)
  if json then
    redis.call('HSET', key('hand'), int(row), json)
  else
    redis.call('HDEL', key('hand'), int(row))
  end
  return json
end

local function mine(row) return BASE .. ':' .. int(row) end
local function lock_pair(row, h) -- a lock that was lost meanwhile to another row stays that row's
  local who = h.pair and redis.call('GET', h.pair)
  if h.pair and (not who or who == mine(row)) then redis.call('SET', h.pair, mine(row), 'PX', int(A.pair_ms or PAIR_MS)) end
end
local function free_pair(row, pair)
  if pair and redis.call('GET', pair) == mine(row) then redis.call('DEL', pair) end
end

local function lease(row, h) -- the caller is the holder from now on, until its lease is over
  h.token, h.owner = A.token, A.owner
  redis.call('ZADD', key('lease'), int(NOW + A.lease_ms), int(row))
end
local function hold(row, h) -- the same, of a row that may have been put off, for longer than its pair's lock lasts
  redis.call('ZREM', key('queued'), int(row))
  redis.call('ZREM', key('later'), int(row))
  lock_pair(row, h)
  lease(row, h)
end
local function let_go(row, h)
  h.token, h.owner, h.slot = nil, nil, nil
  redis.call('ZREM', key('lease'), int(row))
  redis.call('ZREM', key('queued'), int(row))
end
local function held(r, h, state) return r and r.state == state and h.token and h.token == A.token end
-- What a holder goes on with: the row as it is now, for another may have changed it between the holder's look and its claim.
local function shown(record, json) return { 'ok', record, tonumber(CREATED_MS), json } end

-- The slot that a claim takes in the buckets from KEYS[first_key] on, if there are any. It stays in the row's hand: whoever claims
-- it again, for the first answer was lost, gets the same one, and nobody's second; it may have been voided since.
local function slot_from(first_key) return KEYS[first_key] and take_slot(first_key, 2) or nil end
local function slot_again(h, first_key)
  if not h.slot then return nil end
  h.slot[1] = 'again'
  for n = 1, #KEYS - first_key + 1 do
    h.slot[4 + 2 * n] = redis.call('HGET', KEYS[first_key + n - 1], 'voided_us') or '0'
  end
  return h.slot
end
local function with_slot(answer, slot)
  answer[#answer + 1] = slot
  return answer
end

local function due(row, in_ms) redis.call('ZADD', key('due'), int(NOW + (in_ms or 0)), int(row)) end
local function later(row, in_ms) redis.call('ZADD', key('later'), int(NOW + (in_ms or 0)), int(row)) end

local function note_close(sid, row, channel, pair)
  redis.call('HSET', key('close'), sid, cjson.encode({ row = row, channel = channel, since = NOW, pair = pair }))
  redis.call('ZADD', key('closing'), int(NOW), sid)
end
local function is_closing(sid) return sid and redis.call('HEXISTS', key('close'), sid) == 1 end
local function close_others(row) -- A.others: further Interactions of the row's own, {SID, channel}
  for _, other in ipairs(A.others or {}) do
    if other[1] ~= A.interaction and not is_closing(other[1]) then note_close(other[1], row, other[2]) end
  end
end

-- Where the ledger may be older than what was sent (or the caller always wants it), each send is looked up once before
-- anything is asked for: it goes the way of a doubt, without a request. `looked` is the caution that this was done for.
local function must_look(h)
  return (CAUTION > 0 or A.cautious) and h.looked ~= CAUTION
end
local function look_first(r, h, to)
  let_go(r.row, h)
  h.looking, h.asked, r.looks = CAUTION, 0, 0
  -- What was on its way when the older ledger came may still arrive: the doubt begins when nothing can any more.
  h.doubt = math.max(NOW, cautious_ms() + A.under_way_ms)
  move(r, to, EVENT.LOOKING_FIRST)
  save(r)
  keep(r.row, h)
  later(r.row, h.doubt - NOW + A.look_in_ms)
end

-- An Interaction that was opened and gets no message is closed, so that no agent keeps an empty task.
-- It holds the pair at Twilio until then, so the pair's lock passes on to it; unless the row `goes_on` with the pair.
local function owe_close(r, h, goes_on)
  local sid = hex('KD', r.interaction)
  if not sid then return end
  local pair
  if not goes_on then
    lock_pair(r.row, h)
    pair, h.pair, h.closing = h.pair, nil, sid
  end
  note_close(sid, r.row, h.channel, pair)
end

local function forget_sids(r, h)
  -- A message that was called absent may show in its conversation yet: it is looked for there before another is asked for.
  if h.lost and not h.lost_in and r.conversation ~= NONE then h.lost_in, h.lost_send = hex('CH', r.conversation), r.send end
  r.interaction, r.conversation, r.message = NONE, NONE, NONE
end

local function was_lost(r) return r.code == NO_ANSWER or r.arg == LOST or nil end

-- End a send: nobody holds the row, nothing is due.
local function finish(r, h)
  redis.call('ZREM', key('lease'), int(r.row))
  if r.was ~= STATE.SENDING then -- one that was being sent stood nowhere else
    for _, index in ipairs({ 'queued', 'due', 'later' }) do redis.call('ZREM', key(index), int(r.row)) end
  end
  free_pair(r.row, h.pair)
  redis.call('HDEL', key('hand'), int(r.row))
  save(r)
end
-- Its message has been taken: that is its end, and from now on it is heard of.
local function accept(r, h)
  move(r, STATE.ACCEPTED, EVENT.ACCEPTED)
  listen(r)
  finish(r, h)
end

-- Give a row back to PENDING, due in `in_ms`, and not before its earlier Interaction is closed;
-- what it must wait for, and which Interaction that is, stays in its hand.
local function back(r, h, in_ms, event, code)
  let_go(r.row, h)
  free_pair(r.row, h.pair)
  redis.call('ZREM', key('later'), int(r.row))
  forget_sids(r, h)
  in_ms, h.after = in_ms or 0, nil
  if is_closing(h.closing) then h.after, in_ms = NOW + in_ms, math.max(in_ms, CLOSING_MS) end
  h.pair, h.channel, h.flex_task, h.used, h.seen = nil, nil, nil, nil, nil
  h.began, h.opened, h.doubt, h.asked, h.checks, h.looking = nil, nil, nil, nil, nil, nil
  move(r, STATE.PENDING, event, code)
  save(r)
  keep(r.row, h)
  due(r.row, in_ms)
end

-- The customer is on the do-not-contact list by now: nothing is sent.
local function skip_suppressed(r, h)
  r.code, r.arg = SUPPRESSED, 0
  move(r, STATE.SKIPPED, EVENT.SKIPPED, SUPPRESSED)
  finish(r, h)
end

local function cancel(r, h)
  r.code, r.arg = 0, 0
  move(r, STATE.CANCELLED, EVENT.CANCELLED)
  finish(r, h)
end

-- How many rows' sends have not ended.
local function left()
  local n = 0
  for state = 0, FIRST_ENDED - 1 do n = n + number('n' .. int(state)) end
  return n
end

-- The highest number that a send of this row has, whether the campaign's or a wave's: two sends never have one key.
local WAVED = (PARENT or BASE) .. ':waved'
local function first_of(row) -- the campaign's own record of a wave's row
  local bucket, field = place(row)
  local value = PARENT and redis.call('HGET', PARENT .. ':rw:' .. bucket, field)
  return value and unpack_row(row, value) or nil
end
local function last_send(r)
  local send = math.max(r.send, tonumber(redis.call('HGET', WAVED, int(r.row)) or 0))
  local first = first_of(r.row)
  return math.max(send, first and first.send or 0)
end
-- A row of a wave that begins anew is looked after in the customer's conversation, as when it was put in.
local function keep_to_conversation(r, h)
  local first = first_of(r.row)
  h.adopt = h.adopt or (first and hex('CH', first.conversation))
end

-- That the customer has answered is known of the row, not of one send: it stands ahead of the present story.
local function split_answers(story)
  local answers, rest, at = '', '', 1
  while at <= #story do
    local event, after = string.byte(story, at), next_event(story, at)
    local one = string.sub(story, at, after - 1)
    if event == EVENT.ANSWERED or event == EVENT.OPTED_OUT then answers = answers .. one else rest = rest .. one end
    at = after
  end
  return answers, rest
end
local function has_opted_out(answers)
  for at = 1, #answers, 5 do
    if string.byte(answers, at) == EVENT.OPTED_OUT then return true end
  end
  return false
end

-- Begin a new send of a row that has ended; the record of the earlier one is kept.
local function begin_anew(r, h)
  local bucket, field = place(r.row)
  local past = key('past:' .. bucket)
  local answers
  answers, r.story = split_answers(r.story)
  save(r)
  local record = redis.call('HGET', key('rw:' .. bucket), field)
  redis.call('HSET', past, field, (redis.call('HGET', past, field) or '') .. struct.pack('>I2', #record) .. record)
  count_delivery(r, -1)
  keep_to_conversation(r, h)
  forget_sids(r, h)
  local send = last_send(r) + 1
  if PARENT then redis.call('HSET', WAVED, int(r.row), int(send)) end
  r.send, r.attempts, r.looks, r.code, r.arg, r.delivery, r.delivery_code, r.story = send, 0, 0, 0, 0, 0, 0, answers
  back(r, h, 0, EVENT.NEW_SEND)
  -- The campaign may have been finished, and out of the tick's sight.
  redis.call('SADD', ACCOUNT .. 'active', ID)
end

-- Put back a piece of what was rejected with `code` until the breaker opened; the tick goes on with the rest.
local function put_back(code)
  local list, owed = key('rej:' .. int(code)), tonumber(redis.call('ZSCORE', key('back'), int(code)) or 0)
  local n = math.min(owed, PIECE)
  local rows = n > 0 and redis.call('LRANGE', list, 0, n - 1) or {}
  redis.call('LTRIM', list, n, -1)
  for _, row in ipairs(rows) do
    local r = read(tonumber(row))
    if r and r.state == STATE.FAILED and r.code == code then
      local h = hand(r.row)
      h.closing, h.lost = hex('KD', r.interaction), was_lost(r)
      keep_to_conversation(r, h)
      r.code, r.arg, r.attempts = 0, 0, 0 -- it was not this row's fault
      back(r, h, 0, EVENT.PUT_BACK, code)
    end
  end
  if owed > n then
    redis.call('ZADD', key('back'), int(owed - n), int(code))
  else
    redis.call('ZREM', key('back'), int(code))
    if redis.call('EXISTS', list) == 0 then redis.call('SREM', key('rejcodes'), int(code)) end
  end
end
local function put_back_more()
  for _, code in ipairs(redis.call('ZRANGE', key('back'), 0, 0)) do put_back(tonumber(code)) end
end

-- The breaker opens: the campaign pauses with the reason named; what was rejected for it goes back to PENDING.
local function trip(code)
  local state = campaign('state')
  if state ~= 'running' and state ~= 'paused' then return end
  if state == 'running' or campaign('paused_by') ~= 'breaker' then
    redis.call('HSET', BASE, 'state', 'paused', 'paused_by', 'breaker', 'reason_code', int(code), 'paused_ms', int(NOW))
  end
  redis.call('ZADD', key('back'), redis.call('LLEN', key('rej:' .. int(code))), int(code))
  put_back(code)
end

-- A send is rejected; `A.stop` = the code speaks against the whole campaign.
local function fail(r, h, code, event)
  local last = redis.call('HMGET', BASE, 'streak_code', 'streak_n')
  local n = 1
  if tonumber(last[1] or -1) == code then n = tonumber(last[2] or 0) + 1 end
  redis.call('HSET', BASE, 'streak_code', int(code), 'streak_n', int(n))
  redis.call('RPUSH', key('rej:' .. int(code)), int(r.row))
  redis.call('SADD', key('rejcodes'), int(code))
  r.code, r.arg = code, h.lost and LOST or 0
  heed_opt_out(code)
  move(r, STATE.FAILED, event, code)
  finish(r, h)
  -- A rejection that was on its way when the breaker opened for this code goes back as well.
  local paused_for = campaign('paused_by') == 'breaker' and number('reason_code') == code
  if A.stop == true or n >= STREAK_LIMIT or paused_for then trip(code) end
end
