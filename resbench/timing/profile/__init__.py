"""This package takes a trace by torch's profiler, and makes tables of it."""
