"""This package measures the latency of whole networks in fresh processes."""
