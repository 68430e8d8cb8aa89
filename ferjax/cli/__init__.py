"""The command line: one file a command; flags, endings and exit codes once."""
