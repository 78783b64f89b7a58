"""The performance gate: is the head slower than the base, and could this run have seen it?"""
