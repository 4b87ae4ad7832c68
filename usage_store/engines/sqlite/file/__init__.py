"""One SQLite file: its transactions, its pages, its checks."""
