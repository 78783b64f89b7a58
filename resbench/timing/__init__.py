"""This package tells how fast a network is here, what holds it back, and what it holds in memory."""
