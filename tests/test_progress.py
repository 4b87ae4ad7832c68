"""What takes long tells on a terminal how far it is, and nowhere else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support import ROOT, python, script, write

if TYPE_CHECKING:
    from pathlib import Path

SLOW = """
from time import sleep
db.connection().create_function("slow", 1, lambda value: (sleep(0.005), value)[1])
migrator.backfill("t", "a = slow(a)")
"""
NOTICES = "\n\ndef notices(db):\n    import time\n    time.sleep(1.3)\n    return []\n"
COPY = """
import time
from usage_store.migrate.progress import progress
for done in range(0, 101, 20):
    progress("pages copied", done, 100)
    time.sleep(0.3)
print("error: what follows", file=__import__("sys").stderr)
"""


def run(folder: Path, *words: str, terminal: bool) -> str:
    """What a command says on stderr, which is a terminal or a pipe."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if not terminal:
        return subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True, text=True
        ).stderr
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment, check=True, stderr=theirs, stdout=subprocess.DEVNULL
        )
        os.write(theirs, b".")
        return os.read(ours, 100_000).decode().removesuffix(".")
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_backfill_tells_rows_and_rate_and_the_time_that_is_left(tmp_path: Path) -> None:
    script(
        tmp_path / "app.db", "CREATE TABLE t (a); INSERT INTO t SELECT value FROM json_each('[" + "1," * 499 + "1]')"
    )
    write(tmp_path / "migrations", {"001_slow": python(SLOW, atomic=False)})
    said = run(
        tmp_path, "-m", "usage_store.migrate", "--database", "app.db", "--directory", "migrations", terminal=True
    )
    found = re.findall(r"rows in 001_slow: (\d+) of 500 \((\d+) %\), (\d+) a second, (\d+) s left\x1b\[K\r", said)
    assert found
    assert all(0 < int(seen) < 500 and int(percent) == int(seen) * 100 // 500 for seen, percent, _, _ in found)
    assert all(20 < int(rate) < 200 for _, _, rate, _ in found)
    assert said.endswith("\r\x1b[K\r")


def test_validate_tells_how_long_it_has_been_at_it(tmp_path: Path) -> None:
    write(tmp_path / "migrations", {"001_a": python("db.execute_sql('CREATE TABLE a (b)')") + NOTICES})
    command = ("-m", "usage_store.migrate", "--database", "app.db", "--directory", "migrations")
    assert run(tmp_path, *command, terminal=False) == ""
    assert "checking integrity, foreign keys and schema: 1 s\x1b[K\r" in run(
        tmp_path, *command, "validate", terminal=True
    )
    assert run(tmp_path, *command, "validate", terminal=False) == ""


def test_a_long_copy_is_told_on_a_terminal_only(tmp_path: Path) -> None:
    said = run(tmp_path, "-c", COPY, terminal=True)
    assert "pages copied: 80 of 100 (80 %), " in said
    assert "pages copied: 20 of 100" not in said, "nothing is said in the first second"
    assert said.endswith("\x1b[K\rerror: what follows\r\n")
    assert run(tmp_path, "-c", COPY, terminal=False) == "error: what follows\n"
