"""Kill a process before each statement of a migration, and compare what the next run makes of the database."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.engines.interface.schema_differences import State, not_restored
from usage_store.errors import UsageStoreError
from usage_store.testing.migration_tests.databases.places import content, copier
from usage_store.testing.migration_tests.databases.states import snapshot, states
from usage_store.testing.migration_tests.databases.versions import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from usage_store.testing.migration_tests.databases.what_is_tested import Tested
_SECONDS = 300  # after which a process that hangs is ended


def kill_before_each_statement(tested: Tested, folder: Path, *, database: str, version: int) -> dict[str, Any]:
    """Run a migration in processes that are killed before its 1st, 2nd, ... statement that writes, and then again.

    Between two such statements, the file does not change. Each process starts with a copy of `database`. Returns the
    number of statements (`statements`), and for the first that goes wrong `number`, `before` (its SQL), and `error` or
    `differences`. If the migration fails without a kill, returns only `error`. Needs fork.
    """
    written: list[str] = []
    copied = copier(tested, Path(database))
    undisturbed = copied(folder / "undisturbed.db")
    try:
        _run(tested, undisturbed, version, written.append)
    except UsageStoreError as error:
        return {"error": str(error)}
    ended: set[tuple[bytes | str, ...]] = set()
    for number, sql in enumerate(written, 1):
        path = copied(folder / "killed.db")
        _kill(tested, path, version, number)
        left = content(tested, path)
        if left in ended:
            continue  # the next run would find exactly what it found before
        found = _next_run(tested, path, version, undisturbed, copied)
        if found:
            return {"statements": len(written), "number": number, "before": " ".join(sql.split())[:200], **found}
        ended.add(left)
    return {"statements": len(written)}


def _run(tested: Tested, path: Path, version: int, call: Callable[[str], object] = lambda _: None) -> None:
    """Run the migration, and call a function before each statement that may write."""
    with (
        opened(tested, path) as runner,
        runner.records.engine.migrating.before_each_write(runner.database, call),
    ):
        runner.migrate(version)


def _kill(tested: Tested, path: Path, version: int, number: int) -> None:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    signal.alarm(_SECONDS)
    seen = 0

    def die(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        _run(tested, path, version, die)
    finally:
        os._exit(0)


def _next_run(
    tested: Tested, path: Path, version: int, undisturbed: Path, copied: Callable[[Path], Path]
) -> dict[str, Any] | None:
    try:
        _run(tested, path, version)
    except UsageStoreError as error:
        return {"error": str(error)}
    differences = _differences(tested, undisturbed, path)
    if differences:
        # A migration may write the time: then a second undisturbed run differs from the first in the same lines.
        again = copied(path.with_name("again.db"))
        _run(tested, again, version)
        differences = [line for line in differences if line not in _differences(tested, undisturbed, again)]
    return {"differences": differences} if differences else None


def _differences(tested: Tested, undisturbed: Path, path: Path) -> list[str]:
    """Compare schema and rows. Counters of generated keys may differ, as long as the rows are the same."""
    with opened(tested, undisturbed) as one, opened(tested, path) as other:
        found = states(snapshot(one), one, snapshot(other), other)
    before, after = (State(each.catalog, each.rows, {}) for each in found)
    return list(not_restored(before, after))
