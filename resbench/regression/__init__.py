"""The gate tells if the head is slower than the base, and if this run could have seen it."""

VARIABLE = "RESBENCH_GATE"
"""This environment variable holds what the gate wants of a process in which a suite runs, as JSON."""
