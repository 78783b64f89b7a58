"""This package asks what the loss of a trained network looks like around its weights."""
