"""README.md and the pages of `docs/`: the blocks that are printed in them, and how a reader runs these blocks."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.support.programs import ROOT, TIMEOUT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGES = {path.relative_to(ROOT).as_posix(): path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]}
SHOWN = {"dockerfile", "gitignore", "ini", "json", "sh", "sql", "text", "toml", "yaml"}  # languages that nothing runs
RUN = {"console", "python"}
STATUS = "echo $?"  # prints the exit code of the command before it
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ((?:[\w.-]+/)*[\w.-]+\.(?:py|toml))\n")
_ENDING = {"python": ".py", "toml": ".toml"}
_COMMAND = re.compile(r"((?:[^\n]*\\\n)*[^\n]*\n)(.*)", re.DOTALL)  # its lines are joined by backslashes at their ends
_MEASURED = {
    r"\([\d.]+ ms\)": "(0 ms)",
    r"in [\d.]+ s, longest lock \d+ ms": "in 0 s, longest lock 0 ms",
    r"in [\d.]+ s, [\d,]+ a second": "in 0 s, 0 a second",
    r"[\d,]+ bytes (now|before), (about )?[\d,]+ after": "0 bytes 0 after",
    r"in [\d.]+s\b": "in 0s",
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "0000-00-00 00:00:00",
}


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: str
    line: int
    language: str
    text: str
    output: str | None  # the text block after a Python block

    @property
    def place(self) -> str:
        """Where the block stands: `docs/reading.md:12`."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that a Python or TOML block belongs in, if its first line is a comment with a path."""
        found = _FILE.match(self.text)
        return found[1] if found and found[1].endswith(_ENDING.get(self.language, "/")) else None

    @property
    def is_test(self) -> bool:
        """Whether pytest runs the block."""
        return self.language == "python" and re.search(r"^def test_", self.text, re.MULTILINE) is not None

    @property
    def steps(self) -> Iterator[tuple[int, str, str]]:
        """The line, the command and the expected output of each `$ ` line of a console block."""
        line = self.line + 1
        for step in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            found = _COMMAND.fullmatch(step)
            assert found, "a command ends with its line"
            yield line, found[1], found[2]
            line += step.count("\n")

    def fail(self, why: str, line: int | None = None) -> NoReturn:
        """Fail the test that runs the block; say where the block stands, and why it is wrong."""
        pytest.fail(f"{self.page}:{line or self.line}: {why}", pytrace=False)

    def compare(self, printed: str, expected: str, line: int | None = None) -> None:
        """Fail if a block does not print what the page shows; measured figures do not count."""
        printed, expected = without_measurements(printed), without_measurements(expected)
        if printed != expected:
            both = expected.splitlines(), printed.splitlines()
            difference = difflib.unified_diff(*both, "on the page", "printed", lineterm="")
            self.fail("\n".join(["prints something else", *difference]), line)


def without_measurements(text: str) -> str:
    """Replace what another run or another machine prints differently: times, sizes, dates."""
    for pattern, same in _MEASURED.items():
        text = re.sub(pattern, same, text)
    return text.strip()


def blocks_of(page: str, text: str | None = None) -> list[Block]:
    """List the blocks of a page in their order."""
    text = PAGES[page].read_text(encoding="utf-8") if text is None else text
    found = [
        (text.count("\n", 0, match.start()) + 1, match["language"], textwrap.dedent(match["text"]))
        for match in FENCE.finditer(text)
    ]
    blocks = []
    for (line, language, code), after in zip_longest(found, found[1:]):
        output = after[2] if after and (language, after[1]) == ("python", "text") else None
        blocks.append(Block(page, line, language, code, output))
    return blocks


class Session:
    """A shell of a reader: its folder and its environment stay from one command to the next."""

    def __init__(self, folder: Path, state: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = str(folder), dict(environment)
        self.begun_in = self.folder
        self._state = state

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command by bash; `$1` and so on are its arguments."""
        code = f"command=$1; shift; trap 'pwd >{self._state}/pwd; env -0 >{self._state}/env' EXIT; eval \"$command\""
        done = subprocess.run(
            ["bash", "-c", code, "bash", command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        self.folder = (self._state / "pwd").read_text().removesuffix("\n")
        pairs = (pair.partition("=") for pair in (self._state / "env").read_text().split("\0") if pair)
        self.environment = {name: value for name, _, value in pairs}
        return done

    def run_block(self, block: Block, line: int, command: str, *arguments: str) -> str:
        """Run a command of a block that has to succeed, and give what it prints on stdout."""
        done = self.run(command, *arguments)
        if done.returncode != 0:
            block.fail(f"exit code {done.returncode} of\n{command}\n{done.stdout}{done.stderr}", line)
        return done.stdout

    def run_console(self, block: Block) -> None:
        """Run the commands of a console block and compare what each of them prints on stdout.

        A command before `echo $?` may fail. What it prints on stderr is compared, too.
        """
        steps = list(block.steps)
        for (line, command, expected), (after, following, code) in pairwise([*steps, (0, "", "")]):
            if following.strip() == STATUS:
                done = self.run(f"exec 2>&1\n{command}")
                block.compare(self.as_of_ada(done.stdout), expected, line)
                block.compare(str(done.returncode), code, after)
            elif command.strip() != STATUS:
                block.compare(self.as_of_ada(self.run_block(block, line, command)), expected, line)

    def as_of_ada(self, printed: str) -> str:
        """Replace the path of the folder in which the reader began, as the pages do."""
        return printed.replace(self.begun_in, "/home/ada/shop")

    def run_script(self, block: Block) -> None:
        """Run a Python block and compare what it prints with the text block after it: without one, nothing."""
        block.compare(self.run_block(block, block.line, 'python -c "$1"', block.text), block.output or "")

    def write(self, block: Block, name: str) -> None:
        """Write a block to a file."""
        path = Path(self.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")


def with_this_package(programs: Path) -> dict[str, str]:
    """Give the environment of a reader who has installed this checkout, whatever is installed here.

    `programs` is an empty folder, for the commands `python`, `python3`, `pytest` and `usage-store`.
    """
    for name, words in {"python": "", "python3": "", "pytest": "-m pytest", "usage-store": "-m usage_store"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        program.chmod(0o755)
    return environment(PATH=f"{programs}:{os.environ['PATH']}")
