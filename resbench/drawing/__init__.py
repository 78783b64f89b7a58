"""Pictures: the structure of a network as a diagram, and what all charts share."""
