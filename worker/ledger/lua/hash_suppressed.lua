-- Keep the do-not-contact list as salted hashes from now on, and turn some plain fields into such.
-- KEYS[1] the list
-- ARGV[1] salt (where there is one already, that one stays), fields [field, …]
-- Returns {'ok', how many were turned}
redis.call('SET', BASE .. ':salt', A.salt, 'NX')
local turned = 0
for _, field in ipairs(A.fields) do
  local entry = redis.call('HGET', BASE, field)
  if entry then
    redis.call('HSETNX', BASE, salted(field), entry)
    turned = turned + redis.call('HDEL', BASE, field)
  end
end
return { 'ok', turned }
