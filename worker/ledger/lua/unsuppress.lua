-- Take contacts off the do-not-contact list.
-- KEYS[1] the list
-- ARGV[1] fields [field, …]
-- Returns {'ok', how many were on it}
local gone = 0
for _, field in ipairs(A.fields) do
  gone = gone + math.min(1, redis.call('HDEL', BASE, field, salted(field)))
end
return { 'ok', gone }
