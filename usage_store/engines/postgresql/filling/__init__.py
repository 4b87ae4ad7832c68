"""Fill tables of PostgreSQL with made-up rows."""
