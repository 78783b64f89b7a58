"""The commands. One file each, thin; whatever is heavy is imported inside the command."""
