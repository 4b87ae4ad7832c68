"""The migrations of the usage tables, one file a version."""
