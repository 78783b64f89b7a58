"""The commands stand one to a file, and are thin; whatever is heavy is imported inside a command.

What a command's imports make is no garbage: Python is told to look for some after more objects than it is used to, or a
tenth of the time of a short command went to that.
"""

import gc

gc.set_threshold(50_000, 10, 10)
