"""Read and change the schema of a PostgreSQL database."""
