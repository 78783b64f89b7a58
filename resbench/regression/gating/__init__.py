"""This package is the gate as a whole: both sides, counters, the duel, the verdict."""
