-- Start a campaign whose rows are all in the ledger.
-- KEYS[2] all campaigns
-- ARGV[1] rows: how many the file has; columns and file facts are in the campaign's hash already.
--   known {id: true} (absent: it does not matter): the campaigns of this name that were there when it was looked whom
--   they have reached
-- Returns {'ok'} | {'refused', state}: not loading any more, or rows are missing
--   | {'refused', 'other', id}: another of this name has started since
if campaign('state') ~= 'loading' or number('loaded') ~= A.rows then return refused(campaign('state')) end
if A.known then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local other = redis.call('HMGET', ACCOUNT .. 'c:' .. id, 'name', 'state')
    if other[1] == campaign('name') and other[2] ~= 'loading' and not A.known[id] then return { 'refused', 'other', id } end
  end
end
redis.call('HSET', BASE, 'state', 'running', 'rows', int(A.rows), 'started_ms', int(NOW))
step()
return { 'ok' }
