"""Load Peewee models, and write the source of the migration that `create --from` generates."""
