"""Pytest fixtures: a new, migrated database for each test, with your application pointed at it; empty or with data.

Override `usage_store_database`, `usage_store_models` and `usage_store_migrations` in conftest.py, so that the tables of
your application are in it. Without that, the fixtures use `[tool.usage_store]` of the pyproject.toml that is nearest to
the test, or else to pytest's root folder.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import peewee

    from usage_store.testing import MakeUsageDatabase, Seeded
    from usage_store.testing.project_defaults import ProjectDefaults
    from usage_store.testing.template import Recipe, Templates

# usage_store is imported inside the fixtures, so that a test run without these fixtures does not need 80 ms for it.
# ruff: noqa: PLC0415

_RECIPE: pytest.StashKey[Recipe] = pytest.StashKey()  # of the test's database


@pytest.fixture
def usage_store_database(_usage_store_defaults: ProjectDefaults) -> peewee.Database | peewee.DatabaseProxy | None:
    """Return the application's own database or proxy, which points at the test's file during a test. Override it.

    By default it is the database that the project's settings name as `module:name`, or else None. Then the database of
    the models in `usage_store_models` is taken.
    """
    with _one_sentence():
        return _usage_store_defaults.database


@pytest.fixture
def usage_store_models(_usage_store_defaults: ProjectDefaults) -> Sequence[type[peewee.Model]]:
    """Return the models of the application that tests use. Override it; by default, the project's settings name them.

    Models without a database are bound to the test's database.
    """
    with _one_sentence():
        return _usage_store_defaults.models


@pytest.fixture
def usage_store_migrations(
    _usage_store_defaults: ProjectDefaults,
) -> Sequence[tuple[str | Path, str | None] | str | Path]:
    """Return the migrations of the application that run after the usage tables' migrations. Override it.

    Each item is a pair of a directory and the name of its history table, or a directory alone. A relative directory is
    taken from the folder of the file that defines the fixture. By default, the project's settings name the directory.
    """
    with _one_sentence():
        return _usage_store_defaults.migrations


@pytest.fixture(scope="session")
def usage_store_template() -> Callable[[peewee.Database], object] | None:
    """Return a function that adds rows for all tests to the migrated database. Override it; by default it is None.

    The function is called once per test run, and each test gets a copy of what it wrote.
    """
    return None


@pytest.fixture
def usage_database(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    usage_store_database: peewee.Database | peewee.DatabaseProxy | None,
    usage_store_models: Sequence[type[peewee.Model]],
    usage_store_migrations: Sequence[tuple[str | Path, str | None] | str | Path],
    usage_store_template: Callable[[peewee.Database], object] | None,
    _usage_store_defaults: ProjectDefaults,
    _usage_store_templates: Templates,
) -> Iterator[peewee.Database]:
    """Return a new, migrated database of this test's own, closed, with the application pointed at it.

    It is a file of SQLite in the test's `tmp_path`. If `$USAGE_STORE_TEST_POSTGRES` names a server and the application
    has no database of SQLite, it is a schema there, which is dropped afterwards.

    The usage models are bound to it, and `$USAGE_STORE_DATABASE` names its place. After the test, the application's
    database, the bindings and the variable are as before, and the database is closed.
    """
    from usage_store.testing.application import application_of, server_of_tests
    from usage_store.testing.make_usage_database import absolute_migrations, copied
    from usage_store.testing.template import Recipe

    with _one_sentence():
        application = application_of(usage_store_database, usage_store_models)
        migrations = absolute_migrations(usage_store_migrations, _folder_of(request, "usage_store_migrations"))
        server = server_of_tests(application.database, _usage_store_defaults.place)
        recipe = Recipe(application, migrations, usage_store_template, server)
        with copied(_usage_store_templates, recipe, str(tmp_path / "usage.db")) as database:
            request.node.stash[_RECIPE] = recipe
            yield database


@pytest.fixture
def seeded_usage_database(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    usage_database: peewee.Database,
    _usage_store_templates: Templates,
) -> tuple[peewee.Database, Seeded]:
    """Return `usage_database` filled by `seed_usage`, and the data that was written."""
    import pickle

    from usage_store.engines import connected
    from usage_store.testing import seed_usage

    path, recipe = tmp_path / "usage.db", request.node.stash.get(_RECIPE, None)
    with _one_sentence():
        unused = recipe is not None and usage_database.database == str(path) and usage_database.is_closed()
        if recipe is not None and recipe.server is not None and usage_database.is_closed():
            with connected(usage_database):
                return usage_database, seed_usage(usage_database)
        if recipe is None or not unused or not _usage_store_templates.of(recipe).is_at(path):
            return usage_database, seed_usage(usage_database)  # another fixture has used or replaced the database
        template = _usage_store_templates.of(recipe, seeded=True)
        template.copy(str(path))
    return usage_database, pickle.loads(template.seeded)  # noqa: S301  this process has written it


@pytest.fixture(scope="session")
def make_usage_database(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _usage_store_defaults_of: Callable[[str], ProjectDefaults],
    _usage_store_templates: Templates,
) -> MakeUsageDatabase:
    """Return a function that provides a migrated database for a `with` block: see `MakeUsageDatabase`.

    It is for fixtures of module and session scope.
    """
    from usage_store.testing.make_usage_database import MakeUsageDatabase

    return MakeUsageDatabase(
        _usage_store_templates,
        _usage_store_defaults_of,
        lambda: _of_the_present_test(request.session, "usage_store_template"),
        lambda: tmp_path_factory.mktemp("usage_database"),
        _one_sentence,
    )


@pytest.fixture
def _usage_store_defaults(
    request: pytest.FixtureRequest, _usage_store_defaults_of: Callable[[str], ProjectDefaults]
) -> ProjectDefaults:
    return _usage_store_defaults_of(str(request.path.parent))


@pytest.fixture(scope="session")
def _usage_store_defaults_of(pytestconfig: pytest.Config) -> Callable[[str], ProjectDefaults]:
    """Return a function of a folder of tests, because a run may have the tests of several projects."""
    from functools import cache

    from usage_store.testing.project_defaults import ProjectDefaults

    return cache(lambda folder: ProjectDefaults(folder, str(pytestconfig.rootpath)))


@pytest.fixture(scope="session")
def _usage_store_templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    from usage_store.testing.template import Templates

    return Templates(lambda: tmp_path_factory.mktemp("usage_store_template"))


def _folder_of(request: pytest.FixtureRequest, name: str) -> str:
    """Return the folder of the file that defines a fixture that the test uses."""
    from inspect import unwrap
    from pathlib import Path

    function = request._get_active_fixturedef(name).func  # noqa: SLF001  pytest has no public way
    return str(Path(unwrap(function).__code__.co_filename).absolute().parent)


def _of_the_present_test(session: pytest.Session, name: str) -> Any:
    """Return a fixture as the test that is set up now has it. A fixture of a wider scope has only that of one test."""
    test: Any = next(reversed(session._setupstate.stack))  # noqa: SLF001  pytest has no public way
    return test._request.getfixturevalue(name)  # noqa: SLF001  see above


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Report an error of this package as one sentence. The traceback of a migration is in the test's captured stderr.

    Pytest reports the error of a session's fixture again for each test, but the captured text only once.
    """
    from usage_store.errors import UsageStoreError

    try:
        yield
    except UsageStoreError as error:
        from usage_store.testing.template import TemplateFailed

        if isinstance(error, TemplateFailed) and error.__cause__ is not None:
            import traceback

            traceback.print_exception(error.__cause__)
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the ready-made migration tests."""
    text = "kill a process before each statement of all migrations, not only of the newest ten"
    group = parser.getgroup("usage_store")
    group.addoption("--usage-store-kill-all", action="store_true", dest="usage_store_kill_all", help=text)
