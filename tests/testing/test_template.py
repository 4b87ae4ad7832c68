"""The template of the test databases: made once for the same migrations, copied for each test, and never half made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.disks import forked_with_small_files
from usage_store.engines import open_database
from usage_store.errors import ConfigurationError, MigrationFailed, TransactionOpen
from usage_store.models import UsageSession, UsageSnapshot
from usage_store.testing.application import Application
from usage_store.testing.make_usage_database import absolute_migrations, copied
from usage_store.testing.point_application import pointed
from usage_store.testing.template import Recipe, TemplateFailed, Templates

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.quick


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    """Return templates whose folders are numbered, in the folder `made`."""
    folder = tmp_path / "made"
    folder.mkdir()

    def new_folder() -> Path:
        new = folder / str(len(list(folder.iterdir())))
        new.mkdir()
        return new

    return Templates(new_folder)


def made(tmp_path: Path) -> int:
    return len(list((tmp_path / "made").iterdir()))


def migrations(folder: Path, statement: str = "CREATE TABLE items (name TEXT)", table: str | None = None) -> Recipe:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "001_add_items.py").write_text(f"def up(migrator, db):\n    db.execute_sql({statement!r})\n")
    return Recipe(Application(), ((str(folder), table),))


def tables(path: str | Path) -> set[str]:
    database = open_database(path)
    try:
        return set(database.get_tables())
    finally:
        database.close()


def test_a_template_is_made_once_for_the_same_migrations_and_anew_for_others(
    tmp_path: Path, templates: Templates
) -> None:
    first = migrations(tmp_path / "a" / "items")
    template = templates.of(first)
    assert templates.of(first) is template
    assert templates.of(migrations(tmp_path / "b" / "items")) is template  # a copy of the directory
    others = [
        Recipe(Application()),
        migrations(tmp_path / "a" / "items", table="another_history"),
        migrations(tmp_path / "c" / "things"),
        Recipe(Application(peewee.SqliteDatabase("production.db", pragmas={"page_size": 8192}))),
    ]
    paths = [str(tmp_path / f"{number}.db") for number in range(len(others) + 1)]
    for recipe, path in zip([first, *others], paths, strict=True):
        templates.of(recipe).copy(path)
    assert made(tmp_path) == 5
    assert [tables(path) & {"items", "items_migrations", "another_history", "things_migrations"} for path in paths] == [
        {"items", "items_migrations"},
        set(),
        {"items", "another_history"},
        {"items", "things_migrations"},
        set(),
    ]
    file = tmp_path / "a" / "items" / "001_add_items.py"
    file.write_text(file.read_text().replace("TABLE items", "TABLE edited"))
    templates.of(first).copy(str(tmp_path / "edited.db"))
    assert "edited" in tables(tmp_path / "edited.db")


def test_the_function_for_the_template_is_called_once_with_the_application_s_database(
    tmp_path: Path, templates: Templates
) -> None:
    own = peewee.SqliteDatabase(str(tmp_path / "production.db"), pragmas={"journal_mode": "wal"})
    told = []

    def fill(database: peewee.Database) -> None:
        told.append(database)
        with own.atomic():
            own.execute_sql("INSERT INTO items VALUES ('first')")

    recipe = migrations(tmp_path / "items")._replace(application=Application(own), fill=fill)
    for number in range(2):
        with copied(templates, recipe, str(tmp_path / f"{number}.db")) as database:
            assert database.is_closed()
            assert database.execute_sql("SELECT name FROM items").fetchall() == [("first",)]
            assert (own.pragma("journal_mode"), own.pragma("synchronous")) == ("wal", 0)
            database.execute_sql("INSERT INTO items VALUES ('second')")
    assert told == [own]
    assert {each.name for each in tmp_path.iterdir()} == {"0.db", "1.db", "items", "made"}


def test_a_template_that_fails_says_so_once_in_full_and_then_in_one_line(
    tmp_path: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/test_a.py::test_first (setup)")
    recipe = migrations(tmp_path / "items", "CREATE TABLE items (")
    failed, error = "the template of the test databases could not be made", "MigrationFailed: 001_add_items.py, line 2:"
    with pytest.raises(TemplateFailed, match=f"^{failed}: {error}") as first:
        templates.of(recipe)
    assert isinstance(first.value.__cause__, MigrationFailed)
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/test_a.py::test_second (setup)")
    for seeded in (False, True):
        with pytest.raises(TemplateFailed, match=f"^{failed}; see tests/test_a.py::test_first: {error}") as again:
            templates.of(recipe, seeded=seeded)
        assert (again.value.__cause__, "\n" in str(again.value)) == (None, False)
    assert made(tmp_path) == 0
    assert templates.of(migrations(tmp_path / "items"))  # the file was mended


@pytest.mark.parametrize(
    ("fill", "error"),
    [
        (lambda _database: 1 / 0, ZeroDivisionError),
        (lambda database: database.transaction().__enter__(), TransactionOpen),
    ],
)
def test_a_function_for_the_template_that_fails_leaves_no_template(
    tmp_path: Path, templates: Templates, fill: Callable[[Any], object], error: type[Exception]
) -> None:
    with pytest.raises(TemplateFailed) as first:
        templates.of(Recipe(Application(), fill=fill))
    assert isinstance(first.value.__cause__, error)
    with pytest.raises(TemplateFailed, match=f"could not be made; see .*: {error.__name__}: "):
        templates.of(Recipe(Application(), fill=fill))
    assert made(tmp_path) == 0


def test_a_database_that_cannot_be_pointed_at_the_template_is_no_fault_of_the_template(
    tmp_path: Path, templates: Templates
) -> None:
    own = peewee.SqliteDatabase(str(tmp_path / "production.db"))
    with own.atomic(), pytest.raises(TransactionOpen):
        templates.of(Recipe(Application(own)))
    assert made(tmp_path) == 0
    assert templates.of(Recipe(Application(own)))


class Stubborn(peewee.SqliteDatabase):
    def _connect(self) -> Any:
        usual, self.database = self.database, os.fspath(Path(self.database).parents[2] / "mine.db")
        try:
            return super()._connect()  # type: ignore[misc]  # private in peewee, so not in its stubs
        finally:
            self.database = usual


def test_a_class_that_opens_another_file_is_refused_before_anything_is_written(
    tmp_path: Path, templates: Templates
) -> None:
    own = Stubborn(None)
    with pytest.raises(ConfigurationError, match=r"Stubborn was pointed at .*usage\.db, but it opened .*mine\.db"):
        templates.of(Recipe(Application(own)))
    assert (tmp_path / "mine.db").read_bytes() == b""


def test_seeded_data_is_written_once_and_each_test_gets_its_own(tmp_path: Path, templates: Templates) -> None:
    recipe = Recipe(Application())
    seeded = templates.of(recipe, seeded=True)
    assert templates.of(recipe, seeded=True) is seeded
    assert made(tmp_path) == 2
    path = str(tmp_path / "a.db")
    templates.of(recipe).copy(path)
    with pointed(Application(), path):
        assert UsageSession.select().count() == 0
    seeded.copy(path)
    with pointed(Application(), path):
        assert UsageSnapshot.select().count() == 100


def test_a_database_that_was_used_is_no_copy_of_the_template_any_more(tmp_path: Path, templates: Templates) -> None:
    template = templates.of(Recipe(Application()))
    path = tmp_path / "a.db"
    template.copy(str(path))
    assert template.is_at(path)
    with pointed(Application(), str(path)) as database:
        database.connect()
        assert not template.is_at(path)  # its log is beside it
        UsageSession.register("a")
    assert not template.is_at(path)
    assert not template.is_at(tmp_path / "b.db")


def test_a_folder_or_disk_that_cannot_be_written_is_one_sentence(tmp_path: Path, templates: Templates) -> None:
    recipe = Recipe(Application())
    with pytest.raises(
        ConfigurationError, match=r"missing/a\.db: the database of a test cannot be written: No such file"
    ):
        copied(templates, recipe, str(tmp_path / "missing" / "a.db")).__enter__()
    (tmp_path / "a.db").touch()
    with pytest.raises(
        ConfigurationError, match=r"a\.db: this file exists already; the database of a test is a new file"
    ):
        copied(templates, recipe, str(tmp_path / "a.db")).__enter__()

    def copy() -> None:
        with pytest.raises(
            ConfigurationError, match=r"b\.db: the database of a test cannot be written: File too large"
        ):
            copied(templates, recipe, str(tmp_path / "b.db")).__enter__()

    assert forked_with_small_files(copy, limit=5_000) == 0


def test_directories_are_named_alone_or_with_their_history_table(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert absolute_migrations(["a", Path("/b/c"), ("d", "history")], folder) == (
        (f"{folder}/a", None),
        ("/b/c", None),
        (f"{folder}/d", "history"),
    )
    assert absolute_migrations("a", folder) == ((f"{folder}/a", None),)
    wrong: Any = [("a", "b", "c")]
    with pytest.raises(ConfigurationError, match=r"usage_store_migrations has .*; allowed: a directory, or a pair of"):
        absolute_migrations(wrong, folder)
