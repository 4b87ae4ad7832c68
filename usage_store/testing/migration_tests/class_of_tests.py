"""The tests of a project's migrations, as a class for pytest."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from usage_store.engines import is_on_a_server, name_of
from usage_store.errors import ConfigurationError, DatabaseError, UsageStoreError
from usage_store.migrate.files.import_by_name import not_ending_the_process
from usage_store.testing.application import SERVER_OF_TESTS, server_of_tests
from usage_store.testing.migration_tests.databases.fault import Fault
from usage_store.testing.migration_tests.databases.only_inside import only_inside
from usage_store.testing.migration_tests.databases.places import with_schemas
from usage_store.testing.migration_tests.databases.rows_of_a_version import Filling, with_rows
from usage_store.testing.migration_tests.databases.versions import NotMade, Versions
from usage_store.testing.migration_tests.databases.what_is_tested import Tested, what_is_tested
from usage_store.testing.migration_tests.from_nothing import from_nothing_and_back
from usage_store.testing.migration_tests.models_agree import compare_with_models
from usage_store.testing.migration_tests.numbers import wrong_numbers
from usage_store.testing.migration_tests.processes.in_other_processes import OtherProcess
from usage_store.testing.migration_tests.up_and_down import up_and_down
from usage_store.testing.project_defaults import ProjectDefaults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from usage_store.migrate.files.migration import Migration

_KILLED = 10  # of the newest migrations, if `--usage-store-kill-all` is not given
_VERSIONS = pytest.StashKey[Versions]()
_PROCESS = pytest.StashKey[OtherProcess]()
_NUMBERS = "the files cannot be used: see test_numbers"


class MigrationTests:
    """Tests of the migrations in a folder. Make a class from it whose name starts with `Test`.

    `directory`, `table` and `models` are as in `[tool.usage_store]` of `pyproject.toml`. Without `directory`, the
    nearest `pyproject.toml` says which migrations are tested. A relative `directory` begins at the folder of the test
    module, or, if nothing is there, at pytest's root folder. With `gaps = True`, numbers may be missing.

    Before a migration runs, every table gets `rows` rows. `fill_values` gives the values of columns, as
    `usage_store.testing.fill` takes them. A function `migration_rows(version, database)` of the test module, or a
    method of the class, may write rows before that, into the tables as they are at that version.

    All databases are SQLite files in pytest's temporary folder, or, for a project without a database of SQLite, schemas
    on the server that `$USAGE_STORE_TEST_POSTGRES` names. No other database is opened. `migrator.dry_run` is True
    for the migrations, so that they can leave alone what is outside the database.
    """

    directory: ClassVar[str | os.PathLike[str] | None] = None
    table: ClassVar[str | None] = None
    models: ClassVar[str | None] = None
    gaps: ClassVar[bool] = False
    rows: ClassVar[int] = 3
    fill_values: ClassVar[Mapping[str, Any]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test for each migration. pytest calls this method."""
        if "migration" not in metafunc.fixturenames or metafunc.cls is None:
            return
        try:
            files = Versions(_tested(metafunc.cls, metafunc.config, metafunc.module), Path()).files
        except UsageStoreError:
            metafunc.parametrize("migration", [pytest.param(None, marks=pytest.mark.skip(_NUMBERS), id="none")])
            return
        if "killed" in metafunc.function.__name__ and not metafunc.config.getoption("usage_store_kill_all", False):
            files = files[-_KILLED:]
        metafunc.parametrize("migration", files, ids=map(str, files))

    def test_numbers(self, request: pytest.FixtureRequest) -> None:
        """Fail for duplicate and missing numbers, and for files that look like migrations and are not."""
        wrong = "the migrations cannot be found"
        try:
            tested = _tested(request.cls, request.config, request.module)
            wrong = f"{tested.directory}: the names of the files are wrong"
            lines = wrong_numbers(tested.directory, gaps=self.gaps)
        except UsageStoreError as error:
            lines = [str(error)]
        if lines:
            _fail("\n".join([wrong, *(f"    {line}" for line in lines)]))

    def test_up_and_down_with_rows(self, migration: Migration, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Fail if a migration, its `down`, and the migration again do not keep the schema and the rows."""
        with _versions(request) as versions:
            up_and_down(versions, migration, self._filling(request), tmp_path)

    def test_from_nothing_to_the_newest_and_back(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Fail if the migrations do not make a new database, or do not undo each other."""
        with _versions(request) as versions:

            def works(migration: Migration) -> bool:
                folder = tmp_path / str(migration)
                folder.mkdir()
                try:
                    up_and_down(versions, migration, self._filling(request), folder)
                except Fault:
                    return False
                return True

            from_nothing_and_back(versions, works, tmp_path)

    def test_models_and_migrations_agree(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Fail if the models of the project are not the tables that the migrations make."""
        with _versions(request) as versions:
            if versions.tested.models is None:
                pytest.skip('no models are named: write models = "package.models" beside the directory')
            compare_with_models(versions, versions.tested.models, tmp_path)

    def test_killed_before_each_statement(
        self, migration: Migration, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        """Fail if the next run does not finish a migration whose process was killed before one of its statements."""
        with _versions(request) as versions:
            before = tmp_path / "before.db"
            try:
                with_rows(versions, migration, self._filling(request), before)
            except Fault:
                pytest.skip(f"see test_up_and_down_with_rows[{migration}]")
            run = partial(_other_process(request.config).run, "killed", versions.tested, tmp_path)
            result = run(database=str(before), version=migration.version)
            _look_at_kills(migration, result)

    def test_two_processes_at_once(self, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        """Fail if two processes that run all migrations at once do not run each of them once."""
        with _versions(request) as versions:
            versions.after(versions.files[-1])
            result = _other_process(request.config).run("at_once", versions.tested, tmp_path)
            wanted = [migration.version for migration in versions.files]
            _look_at_both(wanted, result)

    def _filling(self, request: pytest.FixtureRequest) -> Filling:
        own_rows = getattr(self, "migration_rows", None) or getattr(request.module, "migration_rows", None)
        return Filling(self.rows, self.fill_values, own_rows)


class TestMigrations(MigrationTests):
    """Tests of the migrations that `[tool.usage_store]` in the nearest `pyproject.toml` names."""


def _tested(tests: type[MigrationTests], config: pytest.Config, module: Any) -> Tested:
    file = Path(module.__file__)
    tested = what_is_tested(tests.directory, tests.table, tests.models, file=file, root=config.rootpath)
    defaults = ProjectDefaults(str(file.parent))
    if os.environ.get(SERVER_OF_TESTS):
        return tested._replace(server=server_of_tests(defaults.database, defaults.place))
    _refuse_without_server(defaults)
    return tested


def _refuse_without_server(defaults: ProjectDefaults) -> None:
    """Raise ConfigurationError if the project's database is on a server. Its migrations do not run on files."""
    database = None
    with suppress(ConfigurationError):  # a module that cannot be imported says nothing about its database
        database = defaults.database
    server_of_tests(database)
    if defaults.place is not None and is_on_a_server(defaults.place):
        raise ConfigurationError(
            f"the project's database is on a server ({name_of(defaults.place)}), and so must be that of its tests: set "
            f"${SERVER_OF_TESTS} to the URL of a server, never of production"
        )


@contextmanager
def _versions(request: pytest.FixtureRequest) -> Iterator[Versions]:
    """Provide the versions of the class, and keep the block away from other databases."""
    node = request.node.getparent(pytest.Class)
    folders: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    try:
        if _VERSIONS not in node.stash:
            tested = _tested(request.cls, request.config, request.module)
            stack = ExitStack()
            request.config.add_cleanup(stack.close)
            tested = stack.enter_context(with_schemas(tested))
            node.stash[_VERSIONS] = Versions(tested, folders.mktemp("versions"))
    except DatabaseError as error:  # pytest would print the URL of the server, with its password
        _fail(str(error))
    except UsageStoreError:
        pytest.skip(_NUMBERS)
    versions: Versions = node.stash[_VERSIONS]
    try:
        with not_ending_the_process(), _inside(folders, versions.tested):
            yield versions
    except Fault as fault:
        _fail(str(fault))
    except NotMade as error:
        pytest.skip(f"{error.migration.file_name} cannot be applied: see test_up_and_down_with_rows[{error.migration}]")


def _inside(folders: pytest.TempPathFactory, tested: Tested) -> AbstractContextManager[None]:
    return only_inside(str(folders.getbasetemp()), tested.folder, tested.schemas)


def _other_process(config: pytest.Config) -> OtherProcess:
    """Return the process that runs jobs for this one. Skips the test where processes cannot fork."""
    if not hasattr(os, "fork"):
        pytest.skip("this test needs os.fork, which this system does not have")
    if _PROCESS not in config.stash:
        config.stash[_PROCESS] = process = OtherProcess()
        config.add_cleanup(process.close)
    return config.stash[_PROCESS]


def _look_at_kills(migration: Migration, result: Mapping[str, Any]) -> None:
    """Raise Fault if a run after a kill did not end well."""
    if "number" in result:
        failed = f"the next run fails: {result.get('error')}"
        raise Fault(
            f"{migration.file_name}: after a kill before statement {result['number']} of {result['statements']}, the "
            "next run does not come to the same database",
            [f"the statement: {result['before']}", *([failed] if "error" in result else result["differences"])],
            "Leave out atomic = False. If the migration needs it, let each of its statements do nothing the second "
            "time: IF NOT EXISTS, WHERE.",
        )
    if "error" in result:  # the migration fails without a kill, too
        pytest.skip(f"{result['error']}: see test_up_and_down_with_rows[{migration}]")


def _look_at_both(wanted: list[int], result: Mapping[str, Any]) -> None:
    """Raise Fault if two processes did not run each migration once, or if one of them failed."""
    if result["errors"]:
        raise Fault(
            "two processes at once: one of them fails",
            result["errors"],
            "Use in a migration only the database that `up` is given: a second connection waits for the first.",
        )
    if sorted(version for ran in result["ran"] for version in ran) != wanted or result["applied"] != wanted:
        raise Fault(
            "two processes at once: they did not run each migration once",
            [f"the first ran {result['ran'][0]}, the second {result['ran'][1]}"],
            f"Leave the history table {result['table']} to the runner.",
        )


def _fail(advice: str) -> NoReturn:
    raise pytest.fail.Exception(advice, pytrace=False) from None  # pytest would print the error that it came from
