-- Put contacts on the do-not-contact list; those on it stay as they are.
-- KEYS[1] the list
-- ARGV[1] entries [[field, reason, date_ms], …]
-- Returns {'ok', how many are new}
local new = 0
for _, entry in ipairs(A.entries) do
  new = new + redis.call('HSETNX', BASE, salted(entry[1]), cjson.encode({ reason = entry[2], date_ms = entry[3] }))
end
return { 'ok', new }
