"""Does the gradient get through? Observe a training step, read statistics, judge."""
