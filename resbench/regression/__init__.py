"""The gate tells if the head is slower than the base, and if this run could have seen it."""

VARIABLE = "RESBENCH_GATE"
"""This environment variable holds what the gate wants of a process in which a suite runs, as JSON."""

FILES = "RESBENCH_GATE_FILES"
"""This one names the folder of a side in which exported files are kept, from one of its processes to the next."""
