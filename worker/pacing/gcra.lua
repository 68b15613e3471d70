-- Take a slot for a call that no row is claimed for just now: a look-up, or one whose first slot was missed.
--
-- KEYS: the buckets. ARGV: as take_slot wants it. Returns: what take_slot does.
return take_slot(1, 1)
