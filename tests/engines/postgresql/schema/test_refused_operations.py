"""An operation that would lose something, or that the server refuses, changes nothing, and the transaction goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peewee
import psycopg
import pytest
from playhouse.migrate import PostgresqlMigrator

from tests.support.postgresql_schemas import state
from usage_store.engines.postgresql.schema import migrator_for
from usage_store.errors import ChangeRefused, ImpossibleChange, RowsDoNotFit, UnknownColumn

if TYPE_CHECKING:
    from collections.abc import Callable

Operation = Any

REFUSED: dict[str, tuple[Callable[[Any], Operation], type[ChangeRefused], str]] = {
    "a column that is not there": (
        lambda m: m.add_not_null("parents", "nope"),
        UnknownColumn,
        "parents: no column 'nope'; there are: id, Name$",
    ),
    "a column in other letters": (lambda m: m.drop_not_null("parents", "name"), UnknownColumn, "no column 'name'"),
    "a rename of no column": (lambda m: m.rename_column("items", "nope", "x"), UnknownColumn, "no column 'nope'"),
    "an index on no column": (lambda m: m.add_index("items", ("nope",)), UnknownColumn, "no column 'nope'"),
    "a unique of no column": (lambda m: m.add_unique("items", "id", "nope"), UnknownColumn, "no column 'nope'"),
    "a table that is not there": (lambda m: m.add_not_null("nope", "id"), UnknownColumn, "^no table 'nope'$"),
    "a table in other letters": (lambda m: m.rename_table("Items", "x"), UnknownColumn, "^no table 'Items'$"),
    "a view": (lambda m: m.add_not_null("v", "id"), ImpossibleChange, "v is a view"),
    "a constraint that is not there": (
        lambda m: m.drop_constraint("items", "nope"),
        ImpossibleChange,
        'items: constraint "nope" of relation "items" does not exist$',
    ),
    "a constraint that is there": (
        lambda m: m.add_constraint("items", "pair", peewee.Check("true")),
        ImpossibleChange,
        'items: constraint "pair" for relation "items" already exists$',
    ),
    "a column that is there": (
        lambda m: m.add_column("items", "a", peewee.TextField(null=True)),
        ImpossibleChange,
        'items: column "a" of relation "items" already exists$',
    ),
    "no foreign key": (
        lambda m: m.drop_foreign_key_constraint("items", "a"),
        ImpossibleChange,
        "items: column 'a' has no foreign key of its own$",
    ),
    "rows with NULL": (
        lambda m: m.add_not_null("items", "C"),
        RowsDoNotFit,
        '^items: column "C" of relation "items" contains null values$',
    ),
    "rows that break a rule": (
        lambda m: m.add_constraint("items", "r", peewee.Check("id > 1")),
        RowsDoNotFit,
        'items: check constraint "r" of relation "items" is violated by some row$',
    ),
    "rows that refer to none": (
        lambda m: m.add_foreign_key_constraint("items", "id", "parents", "id"),
        RowsDoNotFit,
        "^items: insert or update on table .*; Key .*is not present",
    ),
    "rows alike": (
        lambda m: m.add_column("items", "u", peewee.TextField(default="x", unique=True)),
        RowsDoNotFit,
        '^items: could not create unique index "items_u"; Key',
    ),
    "rows of another type": (
        lambda m: m.alter_column_type("items", "a", peewee.IntegerField(), cast="a::integer"),
        ImpossibleChange,
        '^items: default for column "a" cannot be cast automatically to type integer$',
    ),
    "values that are too long": (
        lambda m: m.alter_column_type("items", "a", peewee.CharField(2)),
        RowsDoNotFit,
        r"^items: value too long for type character varying\(2\)$",
    ),
    "no SQL": (lambda m: m.add_constraint("items", "r", peewee.Check("id <")), ImpossibleChange, "syntax error"),
    "a primary key": (
        lambda m: m.drop_column("items", "id", legacy=True),
        ImpossibleChange,
        "items: cannot drop PRIMARY KEY column 'id'$",
    ),
    "a column of a foreign key and an index": (
        lambda m: m.drop_column("items", "parent_id"),
        ImpossibleChange,
        r"in use by constraint to_parent, index items_parent; what helps: drop_column\('items', 'parent_id', casc",
    ),
    "a column of rules": (
        lambda m: m.drop_column("items", "b", cascade=True),
        ImpossibleChange,
        "in use by column made, constraint apart, constraint pair$",
    ),
    "a column of a unique index": (
        lambda m: m.drop_column("items", "noted", cascade=True),
        ImpossibleChange,
        "in use by index items_unique, trigger t$",
    ),
    "a column of a view": (
        lambda m: m.drop_column("items", "seen", legacy=True),
        ImpossibleChange,
        "items: column 'seen' cannot be dropped; in use by view v$",
    ),
    "the target of a foreign key": (
        lambda m: m.drop_constraint("parents", "parents_pkey"),
        ImpossibleChange,
        "; constraint to_parent on table items depends on index parents_pkey$",
    ),
    "a table of a view": (lambda m: m.drop_table("items"), ImpossibleChange, "; view v depends on table items$"),
    "NULL in a key": (lambda m: m.drop_not_null("items", "id"), ImpossibleChange, 'column "id" is in a primary key$'),
    "a rebuild": (
        lambda m: m.rebuild_table("items", "CREATE TABLE items (id int)"),
        ImpossibleChange,
        "^items: rebuild_table is for SQLite only; ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why_in_one_line_and_the_transaction_goes_on(
    database: peewee.PostgresqlDatabase, name: str
) -> None:
    operation, kind, reason = REFUSED[name]
    before = state(database)
    migrator = migrator_for(database)
    with database.atomic():
        with pytest.raises(kind, match=reason) as caught:
            migrator.migrate(operation(migrator))
        assert len(str(caught.value).splitlines()) == 1
        database.execute_sql("INSERT INTO parents VALUES (9)")
    assert state(database) == before
    assert database.execute_sql("SELECT count(*) FROM parents WHERE id = 9").fetchone() == (1,)


STOCK: dict[str, Callable[[Any], Operation]] = {
    "a column again": lambda m: m.add_column("items", "a", peewee.CharField(null=True)),
    "drop a column that is gone": lambda m: m.drop_column("items", "zz"),
    "rename a column that is gone": lambda m: m.rename_column("items", "zz", "yy"),
    "rename to a column that is there": lambda m: m.rename_column("items", "spare", "a"),
    "an index again": lambda m: m.add_index("items", ("parent",), name="items_parent"),
    "drop an index that is gone": lambda m: m.drop_index("items", "nope"),
    "a table that is gone": lambda m: m.add_column("nope", "a", peewee.CharField(null=True)),
    "NOT NULL on rows with NULL": lambda m: m.add_not_null("items", "C"),
    "a unique index on rows alike": lambda m: m.add_index("items", ("seen", "seen"), unique=True, nulls_distinct=False),
    "values that are too long": lambda m: m.alter_column_type("items", "a", peewee.CharField(2)),
}


@pytest.mark.parametrize("name", STOCK)
def test_code_that_catches_the_errors_of_playhouse_catches_these(
    database: peewee.PostgresqlDatabase, name: str
) -> None:
    kinds: list[type[BaseException]] = []
    for migrator in (PostgresqlMigrator(database), migrator_for(database)):
        with pytest.raises(Exception) as caught, database.atomic():  # noqa: PT011  which one, is the question
            migrator.migrate(STOCK[name](migrator))
        kinds.append(type(caught.value))
    assert issubclass(kinds[1], (kinds[0], ChangeRefused))
    assert issubclass(kinds[1], kinds[0])


def test_a_table_that_a_temporary_one_hides_is_not_changed(database: peewee.PostgresqlDatabase) -> None:
    database.execute_sql("CREATE TEMP TABLE items (id int)")
    migrator = migrator_for(database)
    with pytest.raises(ImpossibleChange, match="items is a temporary table, or a temporary table hides it"):
        migrator.migrate(migrator.add_column("items", "more", peewee.TextField(null=True)))


def test_a_lock_that_is_not_had_stays_the_error_that_it_is(
    database: peewee.PostgresqlDatabase, postgresql_url: str
) -> None:
    url, _, schema = postgresql_url.rpartition("schema=")
    database.execute_sql("SET lock_timeout TO '30ms'")
    migrator = migrator_for(database)
    with psycopg.connect(url.rstrip("?&"), options=f"-c search_path={schema}") as other:
        other.execute("SELECT * FROM items")
        with pytest.raises(peewee.OperationalError, match="lock timeout") as caught:
            migrator.migrate(migrator.add_column("items", "more", peewee.TextField(null=True)))
    assert not isinstance(caught.value, ChangeRefused)
