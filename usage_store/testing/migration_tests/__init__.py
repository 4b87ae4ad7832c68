"""Ready-made tests of a project's migrations. They need pytest.

They run on SQLite files in pytest's temporary folder, or in schemas on the server that `$USAGE_STORE_TEST_POSTGRES`
names.

A project with the table `[tool.usage_store]` in its `pyproject.toml` imports `TestMigrations` into a test module. For
other folders, make a class from `MigrationTests`.
"""

from __future__ import annotations

from usage_store.testing.migration_tests.class_of_tests import MigrationTests, TestMigrations

__all__ = ["MigrationTests", "TestMigrations"]
