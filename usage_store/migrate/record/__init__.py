"""Read and write the history table and the log, and decide which migrations to run."""
