"""Make, fill and compare the databases of the ready-made migration tests."""
