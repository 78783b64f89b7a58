"""Models are loaded by name: the catalog's, built as torch modules, and those from elsewhere."""
