"""Results side by side, on one page, and in TensorBoard."""
