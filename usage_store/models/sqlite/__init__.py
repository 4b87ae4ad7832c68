"""How the usage tables are stored in SQLite."""
