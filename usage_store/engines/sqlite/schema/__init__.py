"""The schema of a SQLite database, read and changed without loss."""
