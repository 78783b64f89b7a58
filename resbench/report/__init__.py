"""Pictures of results: in the terminal, as files."""
