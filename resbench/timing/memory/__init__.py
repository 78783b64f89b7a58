"""This package predicts and measures what a run holds in memory."""
