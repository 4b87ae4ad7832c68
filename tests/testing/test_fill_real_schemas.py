"""Filling tables with the shapes of real projects, without any given values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.filled_databases import checked, with_schema
from usage_store.errors import CannotFill
from usage_store.testing import fill

if TYPE_CHECKING:
    from collections.abc import Mapping

    import peewee

pytestmark = pytest.mark.quick

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))
NOT_FILLED: Mapping[str, set[str]] = {}  # by the name of the schema


def fill_what_can_be_filled(database: peewee.SqliteDatabase) -> tuple[dict[str, int], set[str]]:
    left = set(database.get_tables())
    refused: set[str] = set()
    while True:
        try:
            return fill(database, tables=left), refused
        except CannotFill as error:
            refused.add(error.table)
            left.remove(error.table)


def test_the_schemas_have_more_than_sixty_tables_of_more_than_five_projects() -> None:
    assert len(SCHEMAS) > 5
    assert sum(path.read_text(encoding="utf-8").lower().count("create table ") for path in SCHEMAS) > 100


@pytest.mark.parametrize("foreign_keys", [True, False], ids=["enforced", "not enforced"])
@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_at_least_95_percent_of_the_tables_are_filled(path: Path, schema: Path, *, foreign_keys: bool) -> None:
    with with_schema(path, schema.read_text(encoding="utf-8"), foreign_keys=foreign_keys) as database:
        added, refused = fill_what_can_be_filled(database)
        assert refused == NOT_FILLED.get(schema.stem, set())
        assert len(added) >= 0.95 * len(database.get_tables())
        assert all(added.values())
        assert checked(database, next(iter(added)))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_each_column_that_may_be_null_has_rows_with_and_without_a_value(path: Path, schema: Path) -> None:
    with with_schema(path, schema.read_text(encoding="utf-8")) as database:
        for table, count in fill(database).items():
            for column in database.get_columns(table):
                sql = f'SELECT count("{column.name}") FROM "{table}"'
                (known,) = database.execute_sql(sql).fetchone()
                assert known == count or (column.null and 0 < known < count), f"{table}.{column.name}"
                assert not column.null or column.primary_key or known < count, f"{table}.{column.name}"
