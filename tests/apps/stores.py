"""Look at what an application has stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.programs import run_python
from usage_store import UsageSnapshot, get_migration_runner, opened

if TYPE_CHECKING:
    from pathlib import Path

    from tests.apps.servers import Answers


def left_open(path: Path) -> list[str]:
    """Name the files that SQLite keeps beside a database while it is open."""
    return [file.name for file in path.parent.glob(f"{path.name}-*") if file.suffix != ".db-migrate"]


def stored(path: Path) -> list[int]:
    """List the numbers in a database in ascending order. Checks the file with the command line first."""
    done = run_python("-m", "usage_store", "migrate", "validate", "--database", path, cwd=path.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert left_open(path) == []
    with opened(path, readonly=True):
        return sorted(snapshot.data["number"] for snapshot in UsageSnapshot.between())


def assert_each_accepted_is_stored(path: Path, answers: Answers) -> None:
    """Check that what was accepted is stored once. What was sent without an answer may be stored."""
    found = stored(path)
    assert len(set(found)) == len(found)
    assert answers.accepted <= set(found) <= set(answers.status)


def runs(path: Path) -> list[int]:
    """List the versions of the usage tables' migrations that were run, in the order of the log."""
    with opened(path, readonly=True):
        return [entry.version for entry in get_migration_runner().log.entries()]
