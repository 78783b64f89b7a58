"""Stored runs by night, and where their level changed."""
