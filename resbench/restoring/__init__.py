"""Everything that is reachable from a model, put back bit for bit when others have run it."""
