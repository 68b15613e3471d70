-- Take notice of how far somebody has seen a campaign come; the head of every script does the rest.
-- ARGV[1] floor
-- Returns {'ok'}
return { 'ok' }
