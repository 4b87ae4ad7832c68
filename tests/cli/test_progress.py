"""Long work shows its progress on a terminal, and nowhere else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.clock import TICKING
from tests.support.databases import script
from tests.support.migrations import python, write
from tests.support.programs import run_python
from tests.support.terminals import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

WORDS = ("--database", "app.db", "--directory", "migrations", "--table", "schema_migrations")
CLOCK = TICKING.format(tick=0)  # the time that passes is the time that is slept
MIGRATE = CLOCK + "from usage_store.cli.main import main; main(door=('migrate',))"
SLOW = """
import time
db.connection().create_function("slow", 1, lambda value: (time.sleep(0.005), value)[1])
migrator.backfill("t", "a = slow(a)")
"""
NOTICES = "\n\ndef notices(db):\n    import sys\n    sys.stdin.read()\n    return []\n"
COPY = f"""{CLOCK}
import sys
from usage_store.cli.progress import Progress
progress = Progress()
for done in range(0, 101, 20):
    progress("pages copied", done, 100)
    time.sleep(0.3)
print("error: what follows", file=sys.stderr)
"""


def into_a_pipe(cwd: Path, *words: str) -> str:
    """Return the stderr of a command, when stderr is not a terminal."""
    done = run_python(*words, cwd=cwd)
    done.check_returncode()
    return done.stderr


def test_a_backfill_shows_rows_and_rate_and_the_seconds_left(tmp_path: Path) -> None:
    script(
        tmp_path / "app.db", "CREATE TABLE t (a); INSERT INTO t SELECT value FROM json_each('[" + "1," * 499 + "1]')"
    )
    write(tmp_path / "migrations", {"001_slow": python(SLOW, atomic=False)})
    said = on_terminal("-c", MIGRATE, *WORDS, cwd=tmp_path).err
    found = re.findall(r"rows in 001_slow: (\d+) of 500 \((\d+) %\), (\d+) a second, (\d+) s left\x1b\[K\r", said)
    assert found
    assert all(0 < int(seen) < 500 and int(percent) == int(seen) * 100 // 500 for seen, percent, _, _ in found)
    assert all(100 < int(rate) < 134 for _, _, rate, _ in found), "5 ms a row, and half as long between the batches"
    assert all(abs(int(left) - (500 - int(seen)) / int(rate)) < 1 for seen, _, rate, left in found)
    assert said.endswith("\r\x1b[K\r")


@pytest.mark.slow
def test_validate_shows_how_long_it_has_run(tmp_path: Path) -> None:
    write(tmp_path / "migrations", {"001_a": python("db.execute_sql('CREATE TABLE a (b)')") + NOTICES})
    command = ("-m", "usage_store.migrate", *WORDS)
    assert into_a_pipe(tmp_path, *command) == f"created {tmp_path}/app.db\n"
    says = "checking integrity, foreign keys and schema: "
    shown = on_terminal(*command, "validate", "--notices", cwd=tmp_path, until=says).err
    assert re.search(rf"{says}\d+ s\x1b\[K\r", shown)
    assert into_a_pipe(tmp_path, *command, "validate", "--notices") == ""


def test_a_long_copy_shows_its_progress_on_a_terminal_only(tmp_path: Path) -> None:
    said = on_terminal("-c", COPY, cwd=tmp_path).err
    assert "pages copied: 80 of 100 (80 %), 67 a second, 0 s left" in said
    assert "pages copied: 60 of 100" not in said, "nothing is said in the first second"
    assert said.endswith("\x1b[K\rerror: what follows\r\n")
    assert into_a_pipe(tmp_path, "-c", COPY) == "error: what follows\n"
