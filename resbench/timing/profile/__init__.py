"""A trace by torch's profiler, and the tables that are made of it."""
