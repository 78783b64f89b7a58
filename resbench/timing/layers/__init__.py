"""This package measures the time of every layer, so that the rows add up."""
