"""Run jobs that are read from stdin, one a line, each in a fork of this process. stdout gets the exit code of each."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.testing.migration_tests.databases.only_inside import only_inside
from usage_store.testing.migration_tests.databases.states import snapshot
from usage_store.testing.migration_tests.databases.versions import opened
from usage_store.testing.migration_tests.databases.what_is_tested import Tested
from usage_store.testing.migration_tests.processes.at_once import at_once
from usage_store.testing.migration_tests.processes.killed import kill_before_each_statement

if TYPE_CHECKING:
    from collections.abc import Callable

_JOBS: dict[str, Callable[..., dict[str, Any]]] = {"at_once": at_once, "killed": kill_before_each_statement}
_SMALL = "def up(migrator, db):\n    db.execute_sql('CREATE TABLE first (id INTEGER PRIMARY KEY AUTOINCREMENT)')\n"
_SECONDS = 600  # after which a job that hangs is ended


def main() -> None:
    """Read and run jobs until stdin ends."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # a migration may print
        _import_all()
        for line in sys.stdin:
            answers.write(f"{_exit_code(line)}\n")
            answers.flush()


def _exit_code(line: str) -> int:
    """Run a job in a fork, and return the exit code of the fork."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(_SECONDS)
            _run(json.loads(line))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _import_all() -> None:
    """Run a small migration, which imports what runs import late. Otherwise each fork would import that again."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "001_first.py").write_text(_SMALL, encoding="utf-8")
        with opened(Tested(folder, "first_migrations", None, folder), Path(folder, "first.db")) as runner:
            runner.migrate()
            snapshot(runner)


def _run(told: dict[str, Any]) -> None:
    os.chdir(told["current"])
    sys.path[:] = told["path"]
    folder, tested = Path(told["folder"]), Tested(*told["tested"])
    with only_inside(str(folder), tested.folder, tested.schemas):
        result = _JOBS[told["job"]](tested, folder, **told["arguments"])
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
