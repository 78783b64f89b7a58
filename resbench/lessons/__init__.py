"""Each claim about residual learning is tried as an experiment."""
