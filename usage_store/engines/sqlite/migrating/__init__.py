"""What a migration on SQLite needs around it."""
