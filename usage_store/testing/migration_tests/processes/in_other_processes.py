"""Let another Python process run migrations, so that it can be killed, or run beside itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.testing.migration_tests.databases.fault import Fault

if TYPE_CHECKING:
    from usage_store.testing.migration_tests.databases.what_is_tested import Tested

_SERVER = "usage_store.testing.migration_tests.processes.forked_jobs"


class OtherProcess:
    """A Python process that runs jobs, each in a fork of itself. It ends when this process ends."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(Path(__file__).parents[4]), *filter(None, sys.path)])
        self._process: Any = subprocess.Popen(  # noqa: S603  this Python runs a module of this package
            [sys.executable, "-m", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def run(self, job: str, tested: Tested, folder: Path, **arguments: Any) -> dict[str, Any]:
        """Run a job and return its result. `folder` is for its files. Raises Fault if a migration ended the process."""
        told = {
            "job": job,
            "tested": list(tested),
            "folder": str(folder),
            "path": sys.path,
            "current": str(Path.cwd()),
            "arguments": arguments,
        }
        requests, answers = self._process.stdin, self._process.stdout
        requests.write(json.dumps(told) + "\n")
        requests.flush()
        code = answers.readline().strip()
        result = folder / "result.json"
        if code != "0" or not result.exists():
            wrong = f"the process that ran the migrations ended by itself, with {code or 'no answer'}"
            raise Fault(wrong, (), "Do not end the process in a migration: no os._exit(), no signal.")
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found

    def close(self) -> None:
        """End the process."""
        with self._process:
            self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
