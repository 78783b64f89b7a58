"""This package puts everything that is reachable from a model back bit for bit when others have run it."""
