"""Parts of the maintenance of the usage tables that are the same in every database."""
