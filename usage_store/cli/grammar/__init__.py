"""The grammar of the command line: its commands, their options, and their help."""
