"""The performance gate tells whether the head is slower than the base, and whether this run could have seen it."""
