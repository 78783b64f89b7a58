"""This package reads what of the input a position of each layer sees, and measures how much of that it uses."""
