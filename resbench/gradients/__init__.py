"""This package observes training steps, and judges whether the gradient gets through."""
