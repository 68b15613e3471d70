"""Where every row stands: the only truth, kept in Redis and changed by Lua scripts alone."""
