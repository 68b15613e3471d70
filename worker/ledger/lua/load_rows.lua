-- Load up to one bucket of rows: each is PENDING, INVALID or SKIPPED as its checks said.
-- from - to PENDING | INVALID | SKIPPED
-- ARGV[1] first (row number); counts {state: n}; ARGV[2] n, then n times: field, cells, record, note ('' = none)
-- Returns {'ok', rows loaded so far} | {'refused', rows loaded so far}: another loader was here, or the campaign has started.
local loaded = number('loaded')
local bucket, field = place(A.first)
local n = tonumber(ARGV[2])
if campaign('state') ~= 'loading' or loaded ~= A.first - 1 or field ~= '0' or n > BUCKET then return refused(int(loaded)) end
for i = 0, n - 1 do
  local at = 3 + i * 4
  redis.call('HSET', key('in:' .. bucket), ARGV[at], ARGV[at + 1])
  redis.call('HSET', key('rw:' .. bucket), ARGV[at], ARGV[at + 2])
  if ARGV[at + 3] ~= '' then redis.call('HSET', key('nt:' .. bucket), ARGV[at], ARGV[at + 3]) end
end
for state, count in pairs(A.counts) do redis.call('HINCRBY', BASE, 'n' .. state, count) end
step()
redis.call('HSET', BASE, 'loaded', int(loaded + n))
return { 'ok', int(loaded + n) }
