"""The latency of whole networks, measured in fresh processes."""
