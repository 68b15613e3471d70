-- Apply a changed definition to the rows that are not opened yet; those opened keep the one they were opened with.
-- ARGV[1] definition (JSON text), version (the one that the change was compared with)
-- Returns {'ok', new version} | {'refused', version}
if number('version') ~= A.version then return refused(campaign('version')) end
redis.call('HSET', BASE, 'definition:' .. int(A.version), campaign('definition'), 'definition', A.definition, 'version', int(A.version + 1))
step()
return { 'ok', int(A.version + 1) }
