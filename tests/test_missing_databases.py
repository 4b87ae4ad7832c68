"""A database file that does not exist: opening it creates the file, is refused, or reads as empty."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from usage_store.engines import open_database
from usage_store.errors import DatabaseUnreadable

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.quick, pytest.mark.only_on("sqlite", "files")]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_missing_database_is_refused_and_not_made(tmp_path: Path, *, readonly: bool) -> None:
    for target in (tmp_path / "usage.db", f"sqlite:///{tmp_path}/usage.db", tmp_path / "nowhere" / "usage.db"):
        with pytest.raises(DatabaseUnreadable, match="no such database"):
            open_database(target, readonly=readonly, missing="refuse")
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_there_is_opened_to_write_and_one_that_is_none_is_left_as_it_is(tmp_path: Path) -> None:
    open_database(tmp_path / "usage.db").close()
    with closing(open_database(tmp_path / "usage.db", missing="refuse")) as database:
        database.execute_sql("CREATE TABLE t (a)")
        assert database.get_tables() == ["t"]
    text = tmp_path / "text.db"
    text.write_text("no database " * 100)
    with pytest.raises(DatabaseUnreadable):
        open_database(text, missing="refuse")
    assert text.read_text() == "no database " * 100
    assert {path.name for path in tmp_path.iterdir()} == {"usage.db", "text.db"}


def test_an_empty_one_in_memory_takes_the_place_of_a_missing_file(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "usage.db", readonly=True, missing="empty")) as database:
        assert database.get_tables() == []
        assert database.database == ":memory:"
    assert list(tmp_path.iterdir()) == []
    with closing(open_database(tmp_path / "usage.db", missing="create")) as database:
        database.execute_sql("CREATE TABLE t (a)")
    with closing(open_database(tmp_path / "usage.db", readonly=True, missing="empty")) as database:
        assert database.get_tables() == ["t"]
