"""This package reads the rows of a sweep: distributions, effects of options, fronts, and what predicts what."""
