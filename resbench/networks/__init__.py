"""Models by name: the catalog built as torch modules, and modules from elsewhere."""
