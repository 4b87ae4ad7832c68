"""Find, load and create the files of a migrations directory."""
