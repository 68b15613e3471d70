-- Take a campaign out of the tick's sight, unless it has something left: a row, an Interaction to be closed, rows to put back.
-- KEYS[2] the active campaigns
-- ARGV[1] id
-- Returns {'ok'} | {'refused', state}
if redis.call('EXISTS', BASE) == 1 and (campaign('state') == 'loading' or left() > 0
  or redis.call('EXISTS', key('close')) == 1 or redis.call('EXISTS', key('back')) == 1) then
  return refused(campaign('state'))
end
redis.call('SREM', KEYS[2], A.id)
return { 'ok' }
