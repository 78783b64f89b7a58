"""All that is reachable from a model is put back bit for bit when others have run it."""
