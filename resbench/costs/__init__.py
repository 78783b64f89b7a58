"""The fold and the tracer count what a network costs, and fvcore counts it again."""
