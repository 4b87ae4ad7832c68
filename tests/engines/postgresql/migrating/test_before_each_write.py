"""A function is called before each statement of a run that may write, with either driver, and before no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines import connected, engine_of

if TYPE_CHECKING:
    import peewee


def told(database: peewee.Database) -> list[str]:
    said: list[str] = []
    with engine_of(database).migrating.before_each_write(database, said.append), connected(database):
        database.execute_sql("SELECT 1").fetchall()
        with database.atomic():
            database.execute_sql("CREATE TABLE a (id integer)")
        database.connection().cursor().execute("INSERT INTO a VALUES (1)")
    database.execute_sql("DROP TABLE a")
    return said


def test_statements_that_write_are_told_and_those_that_read_are_not(database: peewee.Database) -> None:
    assert told(database) == ["BEGIN", "CREATE TABLE a (id integer)", "COMMIT", "INSERT INTO a VALUES (1)"]


def test_the_older_driver_tells_them_too(database_of_psycopg2: peewee.Database) -> None:
    assert told(database_of_psycopg2) == ["BEGIN", "CREATE TABLE a (id integer)", "COMMIT", "INSERT INTO a VALUES (1)"]
