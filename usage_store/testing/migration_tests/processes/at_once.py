"""Let two processes run all migrations at the same moment."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

from usage_store.errors import UsageStoreError
from usage_store.testing.migration_tests.databases.versions import opened

if TYPE_CHECKING:
    from pathlib import Path

    from usage_store.testing.migration_tests.databases.what_is_tested import Tested

_SECONDS = 300  # after which a process that hangs is ended


def at_once(tested: Tested, folder: Path) -> dict[str, Any]:
    """Run all migrations in two processes at once, on a new file. Needs fork.

    Returns `ran` (the versions that each of the two has run), `errors`, and `applied` (the versions in the history).
    """
    path = folder / "together.db"
    with opened(tested, path):
        pass  # so that both find a file
    ready, go = os.pipe(), os.pipe()
    children = [_child(tested, path, folder / f"{number}.json", ready[1], go[0]) for number in (1, 2)]
    for _ in children:
        os.read(ready[0], 1)
    os.write(go[1], b"..")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    results = []
    for number, code in enumerate(codes, 1):
        file = folder / f"{number}.json"
        missing = {"ran": [], "error": f"process {number} ended with {code}"}
        results.append(json.loads(file.read_text(encoding="utf-8")) if file.exists() else missing)
    with opened(tested, path) as runner:
        applied = [migration.version for migration in runner.history.applied()]
    errors = [result["error"] for result in results if result["error"]]
    return {"ran": [each["ran"] for each in results], "errors": errors, "applied": applied, "table": tested.table}


def _child(tested: Tested, path: Path, result: Path, ready: int, go: int) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.alarm(_SECONDS)
        os.write(ready, b".")
        os.read(go, 1)
        result.write_text(json.dumps(_migrate(tested, path)), encoding="utf-8")
        code = 0
    finally:
        os._exit(code)


def _migrate(tested: Tested, path: Path) -> dict[str, Any]:
    ran: list[int] = []
    try:
        with opened(tested, path) as runner:
            runner.migrate(on_step=lambda step: ran.append(step.migration.version))
    except UsageStoreError as error:
        return {"ran": ran, "error": str(error)}
    return {"ran": ran, "error": None}
