"""Run migrations in other processes, which are killed or run at the same time."""
