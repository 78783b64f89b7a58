"""One run is counted by layer, without a clock: operators, bytes, allocations, launches."""
