"""Two stored runs of pytest-benchmark side by side."""
