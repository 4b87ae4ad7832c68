"""Operations that would lose something are refused, and operations that have nothing to do change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.torture import run, sound, state
from usage_store.engines import engine_of
from usage_store.engines.sqlite.schema.schema_operations import LosslessMigrator, migrator_for
from usage_store.errors import ChangeRefused, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    Operation = Callable[[LosslessMigrator], Any]

pytestmark = pytest.mark.quick


REFUSED: dict[str, tuple[Operation, str]] = {
    "a column that is not there": (lambda m: m.add_not_null("torture", "nope"), "Torture: no column 'nope'; there are"),
    "an index on no column": (lambda m: m.add_index("torture", ("nope",)), "no column 'nope'"),
    "a unique of no column": (lambda m: m.add_unique("torture", "id", "nope"), "no column 'nope'"),
    "a foreign key of no column": (
        lambda m: m.add_foreign_key_constraint("torture", "nope", "parents", "id"),
        "no column 'nope'",
    ),
    "a rename of no column": (lambda m: m.rename_column("torture", "nope", "x"), "no column 'nope'"),
    "a table that is not there": (lambda m: m.add_not_null("nope", "id"), "no table 'nope'"),
    "a view": (lambda m: m.add_not_null("v", "id"), "v is a view"),
    "a table of SQLite's": (lambda m: m.add_not_null("sqlite_sequence", "seq"), "sqlite_sequence is SQLite's own"),
    "a constraint that is not there": (
        lambda m: m.drop_constraint("torture", "nope"),
        "not exactly one constraint is named 'nope'; there are: amount_range, to_parent, there, pair, in_list",
    ),
    "a constraint that is there": (
        lambda m: m.add_constraint("torture", "PAIR", peewee.Check("1")),
        "there is already a constraint 'PAIR'",
    ),
    "no foreign key": (
        lambda m: m.drop_foreign_key_constraint("torture", "spare"),
        "has no foreign key of its own",
    ),
    "half a foreign key": (
        lambda m: m.drop_foreign_key_constraint("torture", "a"),
        "has no foreign key of its own",
    ),
    "rows with NULL": (
        lambda m: m.add_not_null("torture", "spare"),
        "its rows do not fit the new definition: NOT NULL constraint failed: Torture.spare",
    ),
    "rows alike": (
        lambda m: m.add_unique("torture", "OPEN"),
        "do not fit the new definition: UNIQUE constraint failed: Torture.open",
    ),
    "rows that break a rule": (
        lambda m: m.add_constraint("torture", "r", peewee.Check("id < 10")),
        "do not fit the new definition: CHECK constraint failed: r",
    ),
    "rows that a rule would throw away": (
        lambda m: m.add_constraint("torture", "one", peewee.SQL("UNIQUE (open) ON CONFLICT IGNORE")),
        "UNIQUE constraint failed: Torture.open",
    ),
    "no SQL": (lambda m: m.add_constraint("torture", "r", peewee.Check("id <")), "does not accept its new definition"),
    "a primary key": (lambda m: m.drop_column("children", "id"), "PRIMARY KEY"),
    "a column of an index": (
        lambda m: m.drop_column("torture", "made"),
        "column 'made' cannot be dropped; in use by index t_partial, trigger c_insert",
    ),
    "a column of rules": (
        lambda m: m.drop_column("torture", "B"),
        "table Torture, index t_partial, index t_expression, trigger t_insert, view v, trigger v_insert$",
    ),
    "a column of a temporary trigger": (lambda m: m.drop_column("log", "what"), "in use by trigger t_temporary"),
    "a parent's column": (lambda m: m.drop_column("parents", "id"), "in use by table Torture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_lose_something_is_refused_and_changes_nothing(database: peewee.SqliteDatabase, name: str) -> None:
    operation, reason = REFUSED[name]
    before = state(database)
    migrator = migrator_for(database)

    with database.atomic("IMMEDIATE"):
        with pytest.raises((ChangeRefused, peewee.OperationalError), match=reason):
            migrator.migrate(operation(migrator))
        assert state(database) == before
    assert state(database) == before
    sound(database)


def test_operations_that_have_nothing_to_do_do_nothing(database: peewee.SqliteDatabase) -> None:
    before = state(database)
    run(database, lambda m: m.drop_column_default("torture", "spare"))
    run(database, lambda m: m.drop_not_null("torture", "spare"))
    run(database, lambda m: m.add_not_null("torture", "maybe"))
    assert state(database) == before


def test_a_column_is_not_added_to_a_temporary_table_that_hides_the_lasting_one(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TEMP TABLE Log (what TEXT)")
    before = state(database)
    with pytest.raises(ChangeRefused, match="log is a temporary table, or a temporary table hides it"):
        run(database, lambda m: m.add_column("log", "more", peewee.TextField(null=True)))
    assert state(database) == before


def test_the_primary_key_of_a_strict_table_stays_not_null(database: peewee.SqliteDatabase) -> None:
    database.execute_sql("CREATE TABLE s (k TEXT NOT NULL PRIMARY KEY, v INT) STRICT")
    with pytest.raises(ChangeRefused, match="s: column 'K' is part of the primary key"):
        run(database, lambda m: m.drop_not_null("s", "K"))


def test_a_database_of_another_engine_gets_no_migrator_of_this_one() -> None:
    proxy = peewee.DatabaseProxy()
    proxy.initialize(peewee.MySQLDatabase(None))
    with pytest.raises(ConfigurationError, match="MySQLDatabase is not supported"):
        engine_of(proxy)
