"""What was applied to a database."""
