"""The gate tells if the head is slower than the base, and if this run could have seen it."""
