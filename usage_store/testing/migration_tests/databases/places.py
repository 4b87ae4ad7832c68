"""Open, copy and read the databases of the tests: files, or schemas on a server that stand for files of a folder."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from usage_store.engines import open_database, schemas_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import peewee

    from usage_store.testing.migration_tests.databases.what_is_tested import Tested


def open_place(tested: Tested, path: Path) -> peewee.Database:
    """Open a file, or the schema that stands for it. One that is missing is created."""
    if tested.server is None:
        return open_database(path)
    return open_database(schemas_for_tests(tested.server).make_schema(tested.server, _schema(tested, path)))


def copy_place(tested: Tested, source: Path, target: Path) -> None:
    """Copy a database that is closed. An older one at the target is replaced."""
    copier(tested, source)(target)


def copier(tested: Tested, source: Path) -> Callable[[Path], Path]:
    """Return a function that copies a closed database to a target, which it returns. An older one there is replaced."""
    server = tested.server
    if server is None:
        return partial(_copy_file, source)
    engine = schemas_for_tests(server)
    script = engine.script_of(engine.make_schema(server, _schema(tested, source)))

    def copy(target: Path) -> Path:
        engine.drop_schemas(server, _schema(tested, target))
        engine.run_script(engine.make_schema(server, _schema(tested, target)), script)
        return target

    return copy


def _copy_file(source: Path, target: Path) -> Path:
    for old in target.parent.glob(f"{target.name}*"):
        old.unlink()
    shutil.copyfile(source, target)
    return target


def content(tested: Tested, path: Path) -> tuple[bytes | str, ...]:
    """Return the content of a database that a killed process left: of a file and its journals, or of a schema."""
    if tested.server is None:
        files = (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-journal"))
        return tuple(file.read_bytes() if file.exists() else b"" for file in files)
    engine = schemas_for_tests(tested.server)
    return engine.content_of(engine.make_schema(tested.server, _schema(tested, path)))


@contextmanager
def with_schemas(tested: Tested) -> Iterator[Tested]:
    """Give names for the schemas of a run of tests in the block, and drop the schemas after it.

    Files are left to pytest.
    """
    if tested.server is None:
        yield tested
        return
    with schemas_for_tests(tested.server).names_for_schemas(tested.server) as name:
        yield tested._replace(schemas=f"{name}_")


def _schema(tested: Tested, path: Path) -> str:
    return f"{tested.schemas}{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
