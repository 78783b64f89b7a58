"""Each family of networks has a file: its definition, and below it its lines of the catalog, ``ENTRIES``."""
