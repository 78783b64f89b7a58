"""Results stand side by side, on one page, and in TensorBoard."""
