"""The files of a migration directory."""
