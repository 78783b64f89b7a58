"""What a network costs: the fold and the tracer count it, and fvcore counts it again."""
