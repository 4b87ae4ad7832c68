"""The command line `usage-store`."""
