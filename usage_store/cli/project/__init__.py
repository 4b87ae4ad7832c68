"""What a command has to know of the project in which it runs: its settings, and the tables of other programs."""
