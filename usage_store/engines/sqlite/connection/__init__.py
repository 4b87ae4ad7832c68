"""Open connections to SQLite files, and watch them."""
