"""Code that catches the errors of playhouse's operations works with these, too; a refused operation changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest
from playhouse.migrate import SqliteMigrator

from tests.support.torture import state
from usage_store.engines.sqlite.schema.schema_operations import migrator_for
from usage_store.errors import ChangeRefused, RowsDoNotFit, UnknownColumn

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick

OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "a NOT NULL column again": lambda m: m.add_column("lore", "ts", peewee.CharField(default="")),
    "a column again": lambda m: m.add_column("lore", "ts", peewee.CharField(null=True)),
    "a unique column again": lambda m: m.add_column("lore", "ts", peewee.CharField(null=True, unique=True)),
    "a unique column with a default": lambda m: m.add_column("lore", "u", peewee.CharField(default="", unique=True)),
    "drop a column that is gone": lambda m: m.drop_column("lore", "zz"),
    "drop a column that is gone, legacy": lambda m: m.drop_column("lore", "zz", legacy=True),
    "drop a column in use": lambda m: m.drop_column("lore", "n"),
    "rename a column that is gone": lambda m: m.rename_column("lore", "zz", "yy"),
    "rename to a column that is there": lambda m: m.rename_column("lore", "ts", "n"),
    "an index again": lambda m: m.add_index("lore", ("n",)),
    "a unique index on rows alike": lambda m: m.add_index("lore", ("same",), unique=True),
    "drop an index that is gone": lambda m: m.drop_index("lore", "nope"),
    "a table that is gone": lambda m: m.add_column("nope", "a", peewee.CharField(null=True)),
    "drop a column of a table that is gone": lambda m: m.drop_column("nope", "a"),
    "a view": lambda m: m.drop_column("v", "n"),
    "NOT NULL on rows with NULL": lambda m: m.add_not_null("lore", "ts"),
    "NOT NULL on a column that is gone": lambda m: m.add_not_null("lore", "zz"),
    "NULL on a column that is gone": lambda m: m.drop_not_null("lore", "zz"),
    "a default of a column that is gone": lambda m: m.add_column_default("lore", "zz", 1),
    "no default of a column that is gone": lambda m: m.drop_column_default("lore", "zz"),
    "a type of a column that is gone": lambda m: m.alter_column_type("lore", "zz", peewee.TextField()),
    "NOT NULL in a table that is gone": lambda m: m.add_not_null("nope", "zz"),
}


def made() -> peewee.SqliteDatabase:
    database = peewee.SqliteDatabase(":memory:")
    database.connect()
    for sql in (
        "CREATE TABLE lore (id INTEGER PRIMARY KEY, ts TEXT, n INT, same INT)",
        "CREATE INDEX lore_n ON lore (n)",
        "INSERT INTO lore (ts, same) VALUES (NULL, 1), ('a', 1)",
        "CREATE VIEW v AS SELECT 1 AS n",
    ):
        database.execute_sql(sql)
    return database


def raised(migrator: SqliteMigrator, operation: Callable[[Any], Any]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one, is the question
        migrator.migrate(operation(migrator))
    return caught.value


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_playhouse_raises_is_raised_and_the_transaction_goes_on(name: str) -> None:
    with made() as database:
        stock = raised(SqliteMigrator(database), OPERATIONS[name])
    with made() as database:
        with database.atomic("IMMEDIATE"):
            before = state(database)
            ours = raised(migrator_for(database), OPERATIONS[name])
            assert state(database) == before
            database.execute_sql("INSERT INTO lore (ts) VALUES ('after')")
        assert isinstance(ours, type(stock))
        assert len(str(ours).splitlines()) == 1
        assert database.execute_sql("SELECT count(*) FROM lore").fetchone() == (3,)


def test_a_second_run_survives_an_except_and_one_for_rows_is_not_taken_for_it() -> None:
    for name in ("a NOT NULL column again", "rename a column that is gone", "NOT NULL on a column that is gone"):
        with made() as database:
            error = raised(migrator_for(database), OPERATIONS[name])
            assert isinstance(error, peewee.OperationalError)
            assert isinstance(error, ChangeRefused)
    with made() as database:
        error = raised(migrator_for(database), OPERATIONS["NOT NULL on rows with NULL"])
    assert type(error) is RowsDoNotFit
    assert not isinstance(error, (peewee.OperationalError, ValueError))


def test_the_driver_s_error_is_at_hand_where_there_is_one() -> None:
    with made() as database:
        error: Any = raised(migrator_for(database), OPERATIONS["NOT NULL on rows with NULL"])
        assert "NOT NULL constraint failed" in str(error.orig)
        error = raised(migrator_for(database), OPERATIONS["rename a column that is gone"])
        assert type(error) is UnknownColumn
        assert error.orig is None
