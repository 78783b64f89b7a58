"""This package looks for the networks of a space that are best by some figures: an optimiser chooses the cells."""
