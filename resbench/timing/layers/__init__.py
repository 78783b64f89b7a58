"""The time of every layer, so that the rows add up."""
