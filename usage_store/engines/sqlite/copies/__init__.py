"""Copies of SQLite databases."""
