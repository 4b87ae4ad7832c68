"""What is watched while a migration runs: its statements, its settings, and the tables and rows of the schema."""
