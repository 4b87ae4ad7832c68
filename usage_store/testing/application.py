"""Find the database of an application that is tested, and the models that a test must bind."""

from __future__ import annotations

import os
import sys
import sysconfig
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from usage_store.engines import engine_at, engine_of_kind, is_database, is_on_a_server, name_of, schemas_for_tests
from usage_store.engines.interface.paths_and_urls import redact
from usage_store.errors import ConfigurationError
from usage_store.errors.rejected_input import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeGuard


SERVER_OF_TESTS = "USAGE_STORE_TEST_POSTGRES"  # the environment variable with its URL


class Application(NamedTuple):
    """What a test takes from an application.

    `database` is the database or proxy that points at the test's file during the test. It is None if the application
    has none. Those of `models` that have another database object or none are bound during the test.
    """

    database: peewee.Database | peewee.DatabaseProxy | None = None
    models: tuple[type[peewee.Model], ...] = ()


def application_of(
    named: peewee.Database | peewee.DatabaseProxy | None, models: Iterable[type[peewee.Model]] | type[peewee.Model]
) -> Application:
    """Return the application with this database, or with the one database of its models. Opens and changes nothing.

    With neither, a warning names a database of an imported module, because a test could write into its file.
    Raises ConfigurationError if there are two different databases, or one that cannot be used.
    """
    models = (models,) if _is_model(models) else tuple(models)  # iterating over a model would read its rows
    for each in models:
        if not _is_model(each):
            raise ConfigurationError(f"usage_store_models has {shown(each)}; allowed: Peewee models")
    if named is not None and not is_database(named):
        raise ConfigurationError(f"usage_store_database must be a Peewee Database or DatabaseProxy, not {shown(named)}")
    known = [(f"{each.__module__}.{each.__name__} has", _database(each)) for each in models]
    # Without a name, an empty proxy of the models is the database. Beside another database, it only waits for one.
    found = [(name, each) for name, each in known if each is not None and (named is None or not _is_empty(each))]
    if named is not None:
        found.insert(0, ("usage_store_database is", named))
    for name, each in found[1:]:
        if _itself(each) is not _itself(found[0][1]):
            raise ConfigurationError(
                f"one test has one database, but {found[0][0]} {_described(found[0][1])} and {name} "
                f"{_described(each)}; leave the models of one of them out of usage_store_models"
            )
    if named is None and not models:
        _warn_of_a_database_left_alone()
    database = next((each for _, each in found if _is_proxy(each)), found[0][1] if found else None)
    if database is not None and not _is_proxy(database):
        _refuse_other_engines(database)
    return Application(database, models)


def server_of_tests(database: peewee.Database | peewee.DatabaseProxy | None, place: str | None = None) -> str | None:
    """Return the URL of the server where the tests of an application get their schemas, or None for files of SQLite.

    It is the server that `$USAGE_STORE_TEST_POSTGRES` names, but not for an application whose `database`, or without
    one whose `place` (a path or URL), is not on a server. Opens nothing. Raises ConfigurationError if the variable
    is no URL of a server, and for a database on a server that cannot be pointed at a file, without the variable.
    """
    server = os.environ.get(SERVER_OF_TESTS) or None
    present: Any = getattr(database, "obj", database)
    if present is not None and _has_a_server(present):
        if server is None and database is present:
            raise ConfigurationError(
                f"{type(present).__name__} needs a server for its tests: set ${SERVER_OF_TESTS} to the URL of one, "
                "never of production; or give the application a DatabaseProxy, which tests initialise with a file "
                "of SQLite"
            )
    elif present is not None or (place is not None and not engine_at(place).ON_A_SERVER):
        return None
    if server is not None:
        _check(server)
    return server


def _has_a_server(database: Any) -> bool:
    try:
        return engine_of_kind(type(database)).ON_A_SERVER
    except ConfigurationError:
        return False


def _check(server: str) -> None:
    try:
        schemas_for_tests(server)
    except ConfigurationError as error:
        raise ConfigurationError(f"${SERVER_OF_TESTS}: {error}") from None


def _warn_of_a_database_left_alone() -> None:
    for model in _subclasses(peewee.Model):
        database = _itself(_database(model))
        if database is None or _is_empty(database) or database.database == ":memory:" or not _is_the_project_s(model):
            continue
        warnings.warn(
            f"{model.__module__}.{model.__name__} has {_described(database)}, and this test may write into it: no "
            'database of the application is named; write database = "module:name" or models = "module" into '
            "[tool.usage_store] of pyproject.toml, or override usage_store_database in conftest.py",
            stacklevel=2,
        )
        return


def _is_the_project_s(model: type[peewee.Model]) -> bool:
    """Return whether a model stands at the top of a module that is not installed. Its code can be changed."""
    module = sys.modules.get(model.__module__)
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    file = str(getattr(module, "__file__", None) or "")
    return (
        getattr(module, model.__name__, None) is model
        and not model.__module__.startswith("usage_store.")
        and not file.startswith(tuple(installed))
    )


def _subclasses(kind: type[peewee.Model]) -> Iterator[type[peewee.Model]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def _is_model(thing: object) -> TypeGuard[type[peewee.Model]]:
    return isinstance(thing, type) and issubclass(thing, peewee.Model)


def _database(model: type[peewee.Model]) -> Any:
    return model._meta.database


def _is_proxy(database: Any) -> bool:
    return hasattr(database, "attach_callback")


def _is_empty(database: Any) -> bool:
    """Return whether a proxy has no database, or a database no name yet."""
    inner = getattr(database, "obj", database)
    return inner is None or bool(inner.deferred)


def _itself(database: Any) -> Any:
    """Return the database of a proxy. A proxy without a database, and a database, are returned themselves."""
    inner = getattr(database, "obj", database)
    return database if inner is None else inner


def _refuse_other_engines(database: Any) -> None:
    try:
        engine_of_kind(type(database))
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}; give the application a DatabaseProxy, which tests initialise with a file of SQLite"
        ) from None


def _described(database: Any) -> str:
    inner = _itself(database)
    if _is_proxy(inner):
        return "a DatabaseProxy without a database"
    try:
        named = name_of(inner) if not inner.deferred and is_on_a_server(inner) else inner.database
    except ConfigurationError:  # of another engine
        named = redact(str(inner.database))
    return f"{type(inner).__name__}({named!r})"
