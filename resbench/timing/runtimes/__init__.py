"""The runtimes in which a network can be timed stand here, a file each; ``runtime.py`` is what all of them give."""
