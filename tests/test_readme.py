"""The README's examples run as printed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command
from tests.support.databases import opened, overwrite, rows
from tests.support.programs import ROOT, TIMEOUT, environment
from usage_store.migrate import MigrationRunner
from usage_store.models import MODELS
from usage_store.testing import seed_usage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = {
    section.partition("\n")[0]: [(match[1], match[2]) for match in BLOCK.finditer(section)]
    for section in README.split("\n## ")[1:]
}
BLOCKS = [block for blocks in SECTIONS.values() for block in blocks]


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_measurements(text: str) -> str:
    text = re.sub(r"\([\d.]+ ms\)", "(0 ms)", text)
    text = re.sub(r"in [\d.]+ s, longest lock \d+ ms", "in 0 s, longest lock 0 ms", text)
    text = re.sub(r"[\d,]+ bytes (now|before), (about )?[\d,]+ after", "0 bytes 0 after", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "0000-00-00 00:00:00", text).strip()


def run_session(session: str, folder: Path) -> int:
    steps = session.removeprefix("$ ").split("\n$ ")
    for step in steps:
        command, _, expected = step.partition("\n")
        words = [sys.executable if word == "python" else word for word in shlex.split(command)]
        assert without_measurements(run(words, folder)) == without_measurements(expected), command
    return len(steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "steps"),
    [
        ("First example", 1),
        ("Functions", 1),
        ("Command line", 5),
        ("Databases of your own", 1),
        ("Processes, threads and the file", 1),
        ("Keeping it small", 3),
        ("Migrations for your own tables", 3),
    ],
)
def test_the_examples_of_a_section_print_what_the_readme_says(section: str, steps: int, tmp_path: Path) -> None:
    ran = 0
    blocks = [*SECTIONS[section], ("", "")]
    for (language, code), (follows, expected) in pairwise(blocks):
        if language == "python" and code.startswith("# migrations/"):
            file = tmp_path / code.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(code, encoding="utf-8")
        elif language == "python" and follows == "text":
            assert run([sys.executable, "-c", code], tmp_path) == expected
            ran += 1
        elif language == "console":
            ran += run_session(code, tmp_path)
    assert ran == steps


@pytest.mark.slow
def test_the_fixture_example_passes(tmp_path: Path) -> None:
    (code,) = [code for language, code in BLOCKS if language == "python" and "seeded_usage_database" in code]
    (tmp_path / "test_example.py").write_text(code, encoding="utf-8")
    plugin = ["-p", "usage_store.pytest_plugin", "-p", "no:cacheprovider"]
    assert "1 passed" in run([sys.executable, "-m", "pytest", *plugin, "test_example.py"], tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3, the program")
def test_the_advice_for_a_corrupt_database_saves_the_rows_around_the_damage(tmp_path: Path) -> None:
    path, all_rows = tmp_path / "usage.db", "SELECT id, session_id, snapshot_data, timestamp FROM usage_snapshots"
    with opened(path) as database, database.bind_ctx(MODELS):
        MigrationRunner(database).migrate()
        seed_usage(database, snapshots=2000)
        page, pages = int(database.page_size), int(database.pragma("page_count"))
    stored = set(rows(path, all_rows))
    overwrite(path, page * (pages // 2), b"\xa5" * page * 3)
    assert command("validate", cwd=tmp_path).returncode == 8
    [advice] = [code for language, code in SECTIONS["Troubleshooting"] if language == "sh"]
    words = ["sh", "-c", advice]
    subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=TIMEOUT)
    saved = rows(tmp_path / "saved.db", all_rows)
    assert 1800 < len(saved) < 2000
    assert set(saved) < stored
    done = command("--database", "saved.db", "validate", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
