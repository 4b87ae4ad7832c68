"""What the server's catalogs say of tables and other objects."""
