"""A migration is a normal module while it is loaded and run. Afterwards no module is left in sys.modules."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import besides_the_file, called, run
from tests.support.databases import rows
from tests.support.migrations import migrate_all, python, runner_of, table, write
from usage_store import errors
from usage_store.migrate.files.find_files import discover
from usage_store.migrate.files.load_file import Loader

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

PICKLED = """\
from __future__ import annotations

import dataclasses
import pickle
import sys
import typing


@dataclasses.dataclass
class Row:
    name: str
    size: typing.ClassVar[int] = 3


def up(migrator, db):
    assert sys.modules[__name__].Row is Row
    assert typing.get_type_hints(Row)["name"] is str
    again = pickle.loads(pickle.dumps(Row("a")))
    db.execute_sql("CREATE TABLE kept (name TEXT)")
    db.execute_sql(f"INSERT INTO kept VALUES ({db.param})", (again.name,))


def down(migrator, db):
    assert pickle.loads(pickle.dumps(Row("a"))) == Row("a")
    db.execute_sql("DELETE FROM kept")
    db.execute_sql("DROP TABLE kept")
"""
HELPED = """\
from . import _helpers
from ._helpers import NAME


def up(migrator, db):
    from ._more.deep import SIZE
    _helpers.make(db, NAME, SIZE)


def down(migrator, db):
    _helpers.drop(db, NAME)
"""
HELPERS = """\
NAME = "helped"


def make(db, name, size):
    db.execute_sql(f"CREATE TABLE {name} (a INTEGER DEFAULT {size})")


def drop(db, name):
    db.execute_sql(f"DROP TABLE {name}")
"""


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> object:
    before, finders = dict(sys.modules), list(sys.meta_path)
    yield
    added = {name for name in sys.modules if name not in before and "igration" in name and "usage_store" not in name}
    assert added == set()
    assert sys.meta_path == finders
    assert all(sys.modules.get(name) is module for name, module in before.items())


def test_dataclasses_pickle_and_type_hints_work_in_both_directions(path: Path) -> None:
    directory = write(path.parent / "own", {"001_rows": PICKLED})
    with runner_of(path, directory, backup=False) as runner:
        assert runner.plan()[0].statements[0] == "CREATE TABLE kept (name TEXT)"
        runner.migrate()
        assert rows(path, "SELECT name FROM kept") == [("a",)]
        assert runner.validate().ok
        runner.rollback()


def test_a_stored_source_is_a_module_too(path: Path) -> None:
    directory = write(path.parent / "own", {"001_rows": PICKLED, "002_helped": HELPED, "_helpers": HELPERS})
    with_deep(directory, 5)
    migrate_all(path, directory)
    for name in ("001_rows", "002_helped"):
        (directory / f"{name}.py").unlink()
    with runner_of(path, directory, backup=False) as runner:
        assert len(runner.rollback(0, stored_source=True)) == 2


def with_deep(directory: Path, size: int) -> Path:
    (directory / "_more").mkdir(exist_ok=True)
    (directory / "_more" / "__init__.py").write_text("")
    (directory / "_more" / "deep.py").write_text(f"SIZE = {size}\n")
    return directory


def default(path: Path) -> str:
    """Give the default of the only column of the table `helped`."""
    query = "SELECT dflt_value FROM pragma_table_info('helped')"
    if isinstance(path, str):
        query = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'helped'::regclass"
    [(found,)] = rows(path, query)
    return str(found)


def test_modules_beside_a_migration_can_be_imported(path: Path) -> None:
    directory = with_deep(write(path.parent / "own", {"001_one": HELPED, "_helpers": HELPERS}), 5)
    options = ("--database", path, "--directory", directory)
    assert called(*options, cwd=path.parent).returncode == 0
    assert default(path) == "5"
    write(directory, {"_helpers": HELPERS + "# edited\n"})
    assert called("check", *options, cwd=path.parent).returncode == 0, "what stands beside it has no checksum"
    assert called("rollback", *options, cwd=path.parent).returncode == 0
    assert not list(directory.rglob("__pycache__"))


def test_they_are_read_anew_in_each_run_and_for_each_directory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name, size in (("one", 5), ("two", 6), ("one", 7)):
        directory = with_deep(write(path.parent / name, {"001_a": HELPED, "_helpers": HELPERS}), size)
        with runner_of(path, directory, f"{name}_history", backup=False) as runner:
            runner.migrate()
            assert default(path) == str(size)
            runner.rollback()


def test_the_modules_of_the_application_keep_their_names(path: Path) -> None:
    source = python("import json, sys\nassert sys.modules['json'] is json and json.dumps(1) == '1'", "pass")
    directory = write(path.parent / "own", {"001_json": source, "_json": "dumps = None\n", "_helpers": ""})
    before = sys.modules["json"]
    migrate_all(path, directory)
    assert sys.modules["json"] is before


def test_two_loaders_of_one_directory_do_not_meet(tmp_path: Path) -> None:
    (migration,) = discover(write(tmp_path / "own", {"001_one": PICKLED}), "sqlite")
    with Loader() as one, Loader() as other:
        first, second, again = one.module(migration), other.module(migration), one.module(migration)
        assert len({first.__name__, second.__name__, again.__name__}) == 3
        assert [sys.modules[module.__name__] for module in (first, second, again)] == [first, second, again]
    assert first.__name__ not in sys.modules


def test_what_a_migration_cannot_import_is_one_line(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_one": "from ._gone import x\n" + table("one")})
    done = called("--database", "app.db", "--directory", "own", cwd=tmp_path)
    assert done.returncode == 2
    assert besides_the_file(done).startswith("error: 001_one.py, line 1: ModuleNotFoundError: No module named ")
    assert besides_the_file(done).count("\n") == 1
    write(tmp_path / "own", {"001_one": "from .. import x\n" + table("one")})
    assert called("--database", "app.db", "--directory", "own", cwd=tmp_path).stderr.startswith("error: 001_one.py, li")


def test_a_failed_load_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_one": "from . import _helpers\n1 / 0\n", "_helpers": "x = 1\n"})
    with runner_of(tmp_path / "app.db", tmp_path / "own") as runner, pytest.raises(errors.LoadError, match="line 2"):
        runner.migrate()


def test_a_helper_that_is_broken_is_named(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_one": "\nfrom . import _helpers\n", "_helpers": "def x(:\n"})
    said = besides_the_file(run(tmp_path, code=2, by=called))
    assert said.startswith("error: 001_one.py, line 2: SyntaxError: invalid syntax (_helpers.py, line 1)")
