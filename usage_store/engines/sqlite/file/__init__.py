"""One SQLite file: its transactions, its disk space, its checks."""
