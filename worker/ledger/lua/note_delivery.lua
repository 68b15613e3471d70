-- Note what became of a message: later news replaces earlier, whatever order it comes in.
-- from ACCEPTED to ACCEPTED
-- ARGV[1] row, message (its SID), delivery (see DELIVERY), code (Twilio's, 0 = none), contact (the customer's fields of the
--   do-not-contact list, for a code that says that the customer wants no messages), stop (the code speaks against the whole campaign)
-- Returns {'ok'} | {'refused', 'old' (as much was known) or 'message' (no send of this row has it)}
local r, message = read(A.row), unhex(A.message)
local function is_news(one) return A.delivery > one.delivery end

-- An earlier send's message: its record stands among the past ones, each with its length in front.
local function note_past()
  local bucket, field = place(A.row)
  local past = redis.call('HGET', key('past:' .. bucket), field) or ''
  local at = 1
  while at < #past do
    local size = struct.unpack('>I2', string.sub(past, at, at + 1))
    local one = unpack_row(A.row, string.sub(past, at + 2, at + 1 + size))
    if one.message == message then
      if not is_news(one) then return refused('old') end
      local head, tail = string.sub(past, 1, at + 1), string.sub(past, at + 2 + size)
      one.delivery, one.delivery_code = A.delivery, A.code
      redis.call('HSET', key('past:' .. bucket), field, head .. pack_row(one) .. tail)
      step()
      return { 'ok' }
    end
    at = at + 2 + size
  end
  return refused('message')
end

if message == NONE or not r then return refused('message') end
if r.state ~= STATE.ACCEPTED or r.message ~= message then return note_past() end
if not is_news(r) then return refused('old') end
heed_opt_out(A.code)
count_delivery(r, -1)
r.delivery, r.delivery_code = A.delivery, A.code
count_delivery(r, 1)
if DELIVERY_EVENT[A.delivery] then tell(r, DELIVERY_EVENT[A.delivery], A.code) end
step()
save(r)
if A.stop and left() > 0 then trip(A.code) end
return { 'ok' }
