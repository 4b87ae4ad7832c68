"""Connections to SQLite files."""
