"""What is said of residual learning, each claim tried as an experiment."""
