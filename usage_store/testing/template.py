"""Make the migrated database of a test run once, and copy it for each test."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from usage_store import __version__
from usage_store.bind_models import in_transaction
from usage_store.engines import connected, file_of, is_on_a_server, name_of, schemas_for_tests
from usage_store.errors import ConfigurationError, TransactionOpen
from usage_store.errors.rejected_input import shown
from usage_store.migrate import MigrationRunner
from usage_store.testing.point_application import pointed, settings_of
from usage_store.testing.seed import seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    import peewee

    from usage_store.testing.application import Application

_NAME = "usage.db"
_FAILED = "the template of the test databases could not be made"


class TemplateFailed(ConfigurationError):
    """The template of the test databases could not be made, now or at an earlier use."""


class Recipe(NamedTuple):
    """What a template is made from.

    `migrations` are absolute directories and the names of their history tables. They run after the migrations of the
    usage tables, and `fill` is called at the end with the database. `server` is the URL of the server of the
    databases, or None for files of SQLite.
    """

    application: Application
    migrations: tuple[tuple[str, str | None], ...] = ()
    fill: Callable[[peewee.Database], object] | None = None
    server: str | None = None


class Template(NamedTuple):
    """The files of a template: the database, and what its application attached or left beside it.

    `seeded` is the pickled result of seed_usage(), so that each test gets its own. `script` makes the objects and rows
    of a template on a server, for which no schema is kept; it has no files.
    """

    files: tuple[Path, ...] = ()
    seeded: bytes = b""
    script: Any = None

    def copy(self, path: str) -> None:
        """Copy the files to `path` and beside it, or make the content in the empty schema of a URL.

        Raises ConfigurationError if the files cannot be written, and what the server raises.
        """
        if self.script is not None:
            schemas_for_tests(path).run_script(path, self.script)
            return
        try:
            for file in self.files:
                shutil.copyfile(file, path + file.name.removeprefix(_NAME))
        except OSError as error:
            raise ConfigurationError(f"{path}: the database of a test cannot be written: {error.strerror}") from error

    def is_at(self, path: Path) -> bool:
        """Return whether the files at `path` and beside it are those of the template, and no others. Reads only."""
        beside = {each.name.removeprefix(path.name): each for each in path.parent.glob(f"{path.name}*")}
        ours = {each.name.removeprefix(_NAME): each for each in self.files}
        return beside.keys() == ours.keys() and all(
            beside[suffix].read_bytes() == file.read_bytes() for suffix, file in ours.items()
        )


@contextmanager
def new_place(server: str | None, path: str) -> Iterator[str]:
    """Give a place for a new database in the block: `path`, or the URL of a new schema, which is dropped afterwards.

    Raises ConfigurationError if there is a file at the path, and what the server raises.
    """
    if server is not None:
        with schemas_for_tests(server).new_schema(server) as url:
            yield url
        return
    if os.path.lexists(path):
        raise ConfigurationError(f"{path}: this file exists already; the database of a test is a new file")
    yield path


class Templates:
    """The templates of a test run. Each is made when it is first used; `new_folder` makes the folders for them."""

    def __init__(self, new_folder: Callable[[], Path]) -> None:
        self._new_folder = new_folder
        self._made: dict[Hashable, Template] = {}
        self._failed: dict[Hashable, str] = {}
        self._checksums: dict[str, tuple[Hashable, str]] = {}

    def of(self, recipe: Recipe, *, seeded: bool = False) -> Template:
        """Return the template for a recipe, and make it at its first use; with `seeded`, seed_usage() fills it.

        Only a template of files can be seeded.

        Raises TemplateFailed at each use if the making has failed, and the error is the cause at the first one. Raises
        what `pointed()` raises.
        """
        if recipe.fill is not None and not callable(recipe.fill):
            raise ConfigurationError(f"usage_store_template returns {shown(recipe.fill)}; allowed: a function, or None")
        key = (self._key(recipe), seeded)
        if key in self._failed:
            raise TemplateFailed(self._failed[key])
        if key not in self._made:
            if recipe.server is None:
                self._made[key] = self._of_files(key, recipe, self.of(recipe) if seeded else None)
            else:
                self._made[key] = self._of_a_server(key, recipe)
        return self._made[key]

    def _of_files(self, key: Hashable, recipe: Recipe, base: Template | None) -> Template:
        folder = self._new_folder()
        try:
            path = folder / _NAME
            path.touch()
            if base is not None:
                base.copy(str(path))
            written = self._make(key, recipe, str(path), _migrate if base is None else _seed)
            return Template(tuple(sorted(each for each in folder.iterdir() if each.stat().st_size)), written)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _of_a_server(self, key: Hashable, recipe: Recipe) -> Template:
        with new_place(recipe.server, "") as url:
            self._make(key, recipe, url, _migrate)
            return Template(script=schemas_for_tests(url).script_of(url))

    def _make(
        self, key: Hashable, recipe: Recipe, place: str, write: Callable[[peewee.Database, str, Recipe], bytes]
    ) -> bytes:
        with pointed(recipe.application, place, announce=False) as database:
            try:
                return write(database, place, recipe)
            except (Exception, SystemExit) as error:  # as the runner does: an exit must not end the test run
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                test = os.environ.get("PYTEST_CURRENT_TEST", "its first use").partition(" (")[0]
                self._failed[key] = f"{_FAILED}; see {test}: {reason}"
                raise TemplateFailed(f"{_FAILED}: {reason}") from error

    def _key(self, recipe: Recipe) -> Hashable:
        checksums = tuple((self._checksum(directory), table) for directory, table in recipe.migrations)
        return __version__, settings_of(recipe.application), checksums, recipe.fill, recipe.server

    def _checksum(self, directory: str) -> str:
        """Return the checksum of the files of a directory. They are read again if their time or size has changed."""
        try:
            files = sorted((each.name, each.stat(), Path(each)) for each in os.scandir(directory) if each.is_file())
        except OSError:
            return directory  # the runner says what is wrong with it
        state = tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat, _ in files)
        if self._checksums.get(directory, ((), ""))[0] != state:
            content = hashlib.sha256(os.fsencode(Path(directory).name))  # it may name the history table
            for name, _, path in files:
                content.update(os.fsencode(name) + hashlib.sha256(path.read_bytes()).digest())
            self._checksums[directory] = (state, content.hexdigest())
        return self._checksums[directory][1]


def _migrate(database: peewee.Database, place: str, recipe: Recipe) -> bytes:
    with connected(database):
        _refuse_another_place(database, place)
        MigrationRunner(database, backup=False).migrate()
        for directory, table in recipe.migrations:
            MigrationRunner(database, directory, table, backup=False).migrate()
    if recipe.fill is not None:
        recipe.fill(database)
        if in_transaction(database):
            raise TransactionOpen("usage_store_template left a transaction open; commit it")
    return b""


def _seed(database: peewee.Database, _place: str, _recipe: Recipe) -> bytes:
    with connected(database):
        return pickle.dumps(seed_usage(database))


def _refuse_another_place(database: peewee.Database, place: str) -> None:
    if is_on_a_server(place):
        opened = schemas_for_tests(place).schema_of(database)
        is_there = place.endswith(f"schema={opened}")
    else:
        opened = file_of(database)
        is_there = bool(opened) and Path(place).samefile(opened)
    if not is_there:
        name, opened = name_of(place), opened or "a database in memory"
        raise ConfigurationError(f"{type(database).__name__} was pointed at {name}, but it opened {opened}")
