"""Say on which engines a test runs.

A test that asks for `store_target` or `usage_database` runs on SQLite and on the newest PostgreSQL server. In a folder
of one engine, or with the marker `only_on`, it runs on that engine. With the marker `each_server`, it runs on the older
PostgreSQL servers too, marked long.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.differences import DIFFERENCES
from tests.support.postgresql_servers import new_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.mark import ParameterSet

TESTS = Path(__file__).parents[1]
SQLITE = "sqlite"
NEW, OLDER = ("postgresql18",), ("postgresql16", "postgresql15")


class Url(str):
    """The URL of an empty schema. `parent` is the folder of the test, as that of a file is."""

    __slots__ = ("parent",)
    parent: Path


Place = Path | Url


def servers_of(metafunc: pytest.Metafunc) -> list[str | ParameterSet]:
    """Return the databases of a test as parameters of the fixture `server`."""
    path = metafunc.definition.path
    only = None
    for mark in metafunc.definition.iter_markers("only_on"):
        only, difference = mark.args
        assert difference in DIFFERENCES, f"{difference} is not in tests/support/differences.py"
    for engine in ("sqlite", "postgresql"):
        if engine in path.relative_to(TESTS).parts:
            only = engine
    chosen: list[str | ParameterSet] = [each for each in (SQLITE, *NEW) if only is None or each.startswith(only)]
    if any(metafunc.definition.iter_markers("each_server")) and only != SQLITE:
        chosen += [pytest.param(each, marks=pytest.mark.long) for each in OLDER]
    return chosen


def is_left_out(item: pytest.Item) -> bool:
    """Return whether a case does not run on servers: one of compacted rows, or nine of ten of those marked `sample`."""
    spec = getattr(item, "callspec", None)
    if spec is None or spec.params.get("server", SQLITE) == SQLITE:
        return False
    if any(mark.args[0] == SQLITE for mark in item.iter_markers("only_on")):
        return True  # a case of a test that runs on both
    if item.get_closest_marker("sample") is None:
        return spec.params.get("compacted") is True
    return bool(sum(number for name, number in spec.indices.items() if name != "server") % 10)


def needs_postgresql(item: pytest.Item) -> bool:
    """Return whether a test needs a PostgreSQL server."""
    given = getattr(getattr(item, "callspec", None), "params", {}).get("server", SQLITE)
    asked = {"postgresql_url", "any_postgresql_url", "places"}.intersection(getattr(item, "fixturenames", ()))
    return given != SQLITE or bool(asked) or "postgresql" in item.path.relative_to(TESTS).parts


@contextmanager
def empty_place(server: str, path: Path) -> Iterator[Place]:
    """Give an empty place for a database: on SQLite this path, on a server the URL of an empty schema."""
    if server == SQLITE:
        yield path
    else:
        with new_schema(int(server.removeprefix("postgresql"))) as url:
            place = Url(url)
            place.parent = path.parent
            yield place


@contextmanager
def folder_with_place(server: str, folder: Path) -> Iterator[Path]:
    """Give a folder with an empty place: `app.db`, or on a server the URL of an empty schema in its `server.url`."""
    with empty_place(server, folder / "app.db") as place:
        if isinstance(place, str):
            (folder / "server.url").write_text(place, encoding="utf-8")
        yield folder


def differs(place: Path | str, difference: str) -> bool:
    """Return whether a place is on a server, where a line of the table of differences holds."""
    assert difference in DIFFERENCES
    return isinstance(place, str)
