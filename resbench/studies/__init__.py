"""Questions with an answer and a verdict."""
