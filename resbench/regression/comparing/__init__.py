"""This package sets two stored runs of pytest-benchmark side by side."""
