"""The README's examples run as printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer((ROOT / "README.md").read_text(encoding="utf-8"))]


def run(command: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "USAGE_STORE_DATABASE": ""}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_times(text: str) -> str:
    text = re.sub(r"\([\d.]+ ms\)", "(0 ms)", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "0000-00-00 00:00:00", text)


def test_python_examples_print_what_the_readme_says(tmp_path: Path) -> None:
    ran = 0
    for number, (language, code) in enumerate(BLOCKS):
        follows, expected = BLOCKS[number + 1] if number + 1 < len(BLOCKS) else ("", "")
        if language == "python" and code.startswith("# migrations/"):
            file = tmp_path / code.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(code, encoding="utf-8")
        elif language == "python" and follows == "text":
            assert run([sys.executable, "-c", code], tmp_path) == expected
            ran += 1
    assert ran == 3


def test_commands_print_what_the_readme_says(tmp_path: Path) -> None:
    ran = 0
    for number, (language, session) in enumerate(BLOCKS):
        if language == "python" and session.startswith("# migrations/"):
            (tmp_path / session.partition("\n")[0].removeprefix("# ")).write_text(session, encoding="utf-8")
        if language != "console":
            continue
        for step in session.removeprefix("$ ").split("\n$ "):
            command, _, expected = step.partition("\n")
            words = [sys.executable if word == "python" else word for word in shlex.split(command)]
            printed = run(words, tmp_path)
            assert without_times(printed).strip() == without_times(expected).strip(), f"block {number}: {command}"
            ran += 1
    assert ran == 7


def test_the_fixture_example_passes(tmp_path: Path) -> None:
    (code,) = [code for language, code in BLOCKS if language == "python" and "seeded_usage_database" in code]
    (tmp_path / "test_example.py").write_text(code, encoding="utf-8")
    plugin = ["-p", "usage_store.pytest_plugin", "-p", "no:cacheprovider"]
    assert "1 passed" in run([sys.executable, "-m", "pytest", *plugin, "test_example.py"], tmp_path)
