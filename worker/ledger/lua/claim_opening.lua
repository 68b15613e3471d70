-- Claim a row before its Interaction is asked for: intent, owner and lease are on disk before the effect.
-- from QUEUED to OPENING (or to PENDING / CANCELLED, where it may not be opened now)
-- KEYS[2] the lock of the pair (customer's address, sender's address)
-- ARGV[1] row, token, owner, lease_ms, pair_ms (lease of the pair lock), again_ms (when to try anew)
-- Returns {'ok', now in ms} | {'refused', 'paused' | 'cancelled' | 'closing' | 'pair' | state}
local r = read(A.row)
if not r or r.state ~= STATE.QUEUED then return refused(r and r.state) end
local h, status = hand(A.row), campaign('state')
if status == 'cancelled' then
  move(r, STATE.CANCELLED, EVENT.CANCELLED)
  finish(r, h)
  return refused('cancelled')
end
if status ~= 'running' then
  back(r, h, 0)
  return refused('paused')
end
-- An earlier Interaction of this row still holds the pair: first it is closed.
if h.closing and redis.call('HEXISTS', key('close'), h.closing) == 1 then
  back(r, h, A.again_ms)
  return refused('closing')
end
local mine = BASE .. ':' .. int(A.row)
local who = redis.call('GET', KEYS[2])
if who and who ~= mine then
  back(r, h, A.again_ms)
  return refused('pair')
end
redis.call('SET', KEYS[2], mine, 'PX', int(A.pair_ms))
h.pair, h.began, h.closing = KEYS[2], NOW, nil
hold(A.row, h)
r.looks = 0
move(r, STATE.OPENING, EVENT.OPENING)
save(r)
keep(A.row, h)
return { 'ok', int(NOW) }
