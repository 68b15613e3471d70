-- Begin a new send of a row that failed, keeping the record of the earlier one.
-- from FAILED to PENDING
-- ARGV[1] row, send (the number of the send that failed: a second request for the same does nothing)
-- Returns {'ok', number of the new send} | {'refused', state}
local r = read(A.row)
if not r or r.state ~= STATE.FAILED or r.send ~= A.send then return refused(r and r.state) end
local bucket, field = place(A.row)
local past = key('past:' .. bucket)
local record = redis.call('HGET', key('rw:' .. bucket), field)
redis.call('HSET', past, field, (redis.call('HGET', past, field) or '') .. struct.pack('>I2', #record) .. record)
redis.call('LREM', key('rej:' .. int(r.code)), 0, int(A.row))
local h, sid = {}, hex('KD', r.interaction)
if sid and redis.call('HEXISTS', key('close'), sid) == 1 then h.closing = sid end
r.send, r.attempts, r.looks, r.code, r.arg, r.delivery, r.delivery_code, r.story = r.send + 1, 0, 0, 0, 0, 0, 0, ''
local state = campaign('state')
back(r, h, 0, EVENT.NEW_SEND)
if state == 'cancelled' then redis.call('HSET', BASE, 'state', 'running') end
return { 'ok', int(r.send) }
