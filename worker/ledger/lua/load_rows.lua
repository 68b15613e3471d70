-- Load up to one bucket of rows: each is PENDING, INVALID or SKIPPED as its checks said, or has ended before.
-- from - to PENDING | INVALID | SKIPPED | ACCEPTED | FAILED | NEEDS_REVIEW | CANCELLED
-- ARGV[1] first (row number); counts {state: n}, in_all (rows of the campaign, where some have ended before),
--   waved {row: the least number of its last send, where follow-ups were accepted before}; ARGV[2] n, then n times: field, cells, record, note ('' = none)
-- Returns {'ok', rows loaded so far} | {'refused', rows loaded so far}: another loader was here, or the campaign has started.
local loaded = number('loaded')
local bucket, field = place(A.first)
local n = tonumber(ARGV[2])
if campaign('state') ~= 'loading' or loaded ~= A.first - 1 or field ~= '0' or n > BUCKET then return refused(int(loaded)) end
local cells, records = {}, {}
for at = 3, 2 + n * 4, 4 do
  cells[#cells + 1], cells[#cells + 2] = ARGV[at], ARGV[at + 1]
  records[#records + 1], records[#records + 2] = ARGV[at], ARGV[at + 2]
  if ARGV[at + 3] ~= '' then redis.call('HSET', key('nt:' .. bucket), ARGV[at], ARGV[at + 3]) end
end
if n > 0 then
  redis.call('HSET', key('in:' .. bucket), unpack(cells))
  redis.call('HSET', key('rw:' .. bucket), unpack(records))
end
for i = 0, A.in_all and n - 1 or -1 do
  local r = unpack_row(A.first + i, ARGV[3 + i * 4 + 2])
  count_delivery(r, 1)
  if split_answers(r.story) ~= '' then redis.call('HINCRBY', BASE, 'answered', 1) end
  if r.state == STATE.ACCEPTED then listen(r) end
end
-- What waves sent before the ledger was lost: nobody knows any more which they were, so the row is in none again.
for row, send in pairs(A.waved or {}) do redis.call('HSET', WAVED, row, int(send)) end
for state, count in pairs(A.counts) do redis.call('HINCRBY', BASE, 'n' .. state, count) end
step()
redis.call('HSET', BASE, 'loaded', int(loaded + n))
return { 'ok', int(loaded + n) }
