"""The columns of the usage tables: their types, and which values they allow."""
