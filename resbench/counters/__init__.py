"""What one run does, by layer, without a clock: operators, bytes, allocations, launches."""
