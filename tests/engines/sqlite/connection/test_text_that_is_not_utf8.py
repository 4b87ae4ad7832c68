"""A text in a database that is not UTF-8 is reported in one line by every function that finds it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import raw
from usage_store.engines.sqlite.connection.error_messages import readable_errors
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.errors import DatabaseUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.quick

QUERY = "SELECT 'a' UNION ALL SELECT CAST(x'ff' AS TEXT)"


@pytest.fixture
def database() -> Iterator[peewee.SqliteDatabase]:
    with closing(peewee.SqliteDatabase(":memory:")) as database:
        database.connect()
        yield database


def test_the_driver_s_own_error_is_told_as_such(database: peewee.SqliteDatabase) -> None:
    message = r"^app: holds text that is not UTF-8 \(.*UTF-8.*\)$"
    with pytest.raises(DatabaseUnreadable, match=message) as caught, readable_errors("app"):
        database.execute_sql(QUERY).fetchall()
    assert not isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_python_s_error_is_told_as_such(database: peewee.SqliteDatabase) -> None:
    database.connection().text_factory = bytes.decode
    message = r"^app: holds text that is not UTF-8 \('utf-8' codec can't decode byte 0xff"
    with pytest.raises(DatabaseUnreadable, match=message) as caught, readable_errors("app"):
        database.execute_sql(QUERY).fetchall()
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_another_error_stays_what_it_is(database: peewee.SqliteDatabase) -> None:
    with pytest.raises(peewee.OperationalError, match="no such table"), readable_errors("app"):
        database.execute_sql("SELECT * FROM nowhere")


def test_what_is_said_of_a_damaged_schema_is_told_when_the_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with raw(path) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET name = CAST(x'ff' AS TEXT), sql = 'CREATE TABLE no such'")
    with pytest.raises(DatabaseUnreadable, match=r"app\.db: holds text that is not UTF-8"):
        open_database(path)
