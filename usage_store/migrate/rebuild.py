from playhouse.migrate import SchemaMigrator

migrator_for = SchemaMigrator.from_database
