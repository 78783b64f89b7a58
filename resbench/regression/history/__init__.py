"""This package orders stored runs by night, and finds where their level changed."""
