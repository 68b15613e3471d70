-- Start a campaign whose rows are all in the ledger.
-- ARGV[1] rows: how many the file has; columns and file facts are in the campaign's hash already.
-- Returns {'ok'} | {'refused', state}: not loading any more, or rows are missing.
if campaign('state') ~= 'loading' or number('loaded') ~= A.rows then return refused(campaign('state')) end
redis.call('HSET', BASE, 'state', 'running', 'rows', int(A.rows), 'started_ms', int(NOW))
step()
return { 'ok' }
