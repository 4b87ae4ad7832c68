"""The help of each command explains its options, special words and exit codes, and is the same however it is called."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import command, maintain_command
from tests.support.programs import run_python
from usage_store.cli.grammar.commands import COMMANDS, within
from usage_store.cli.grammar.options import ARGUMENTS, COMMON, OPTIONS
from usage_store.cli.grammar.page_texts import EXIT_CODES, PAGES
from usage_store.cli.grammar.parse import parse

if TYPE_CHECKING:
    from pathlib import Path

EVERY = list(COMMANDS)
NAMES = [" ".join(words) or "none" for words in EVERY]
# Special words that a newcomer does not know, in all their forms.
ART = {
    "stamp": "stamp",
    "adopt": "adopt",
    "rehears": "rehearse",
    "notice": "notice",
    "evict": "evict",
    "compact": "compact",
    "prun": "prune",
    "plan": "plan",
    "history": "history",
    "log": "log",
    "vacuum": "vacuum",
    "renumber": "renumber",
    "pending": "pending",
    "backup": "backup",
    "block": "block",
    "snapshot": "snapshot",
    "migration": "migration",
}


def page(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], prog: str, door: tuple[str, ...] = ()) -> str:
    """Run a command with --help, and return its page."""
    with pytest.raises(SystemExit) as ended:
        parse([*words, "--help"], prog=prog, door=door)
    assert ended.value.code == 0
    return capsys.readouterr().out


def in_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.quick
@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_every_option_and_argument_of_a_command_is_explained(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    shown = in_one_line(page(capsys, words, "usage-store"))
    command_ = COMMANDS[words]
    for name in (*COMMON, *command_.options):
        assert f" {name} " in shown
        assert in_one_line(OPTIONS[name]["help"]) in shown
    for name in command_.argument.split():
        assert in_one_line(ARGUMENTS[name]["help"]) in shown
    for name in within(words):
        assert COMMANDS[*words, name].summary in shown
    assert len(PAGES[words].text) > 60
    assert in_one_line(PAGES[words].text) in shown


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_the_lines_of_a_page_fit_80_columns(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    shown = page(capsys, words, "usage-store")
    assert [line for line in shown.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_every_special_word_is_explained(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    shown = page(capsys, words, "usage-store")
    text, _, explained = shown.partition("\nwords:\n")
    listed = re.sub(r"^  [a-z]+( \[?[A-Z]+\]?)?  ", "", text, flags=re.MULTILINE)  # names of commands, explained there
    names = re.sub(r"has commands of its\nown:.*?\n\n|of its own:.*?\n\n|example:\n.*?\n", "", listed, flags=re.DOTALL)
    prose = re.sub(r"`[^`]*`|--[\w-]+|usage: .*", "", names)
    for stem, word in ART.items():
        if re.search(rf"\b{stem}(s|e|es|ed|ing)?\b", prose, re.IGNORECASE):
            assert re.search(rf"^  {word} +[a-z]", explained, re.MULTILINE), (stem, prose)
    if re.search(r"\bVERSION\b", prose):
        assert "0 is before the first" in in_one_line(shown)


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_the_example_of_a_page_is_a_command_line_of_that_command(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    found = re.search(r"^example:\n  (usage-store .+)$", page(capsys, words, "usage-store"), re.MULTILINE)
    assert found is not None
    arguments = parse(shlex.split(found[1])[1:], prog="usage-store")
    assert arguments.words == (words or ("migrate",))


@pytest.mark.parametrize("words", EVERY, ids=NAMES)
def test_the_exit_codes_of_a_page_are_from_the_one_table(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    shown = page(capsys, words, "usage-store").partition("\nexit codes:\n")[2]
    listed = dict(re.findall(r"^  (\d+) +(\S.*)$", shown, re.MULTILINE))
    assert {int(code): text for code, text in listed.items()} == {
        code: EXIT_CODES[code] for code in PAGES[words].exit_codes
    }
    assert {0, 2, 8, 70, 130} <= set(map(int, listed)) <= set(EXIT_CODES)


@pytest.mark.parametrize("words", [each for each in EVERY if each], ids=NAMES[1:])
def test_every_way_to_start_a_command_shows_the_same_page(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    usual = page(capsys, words, "usage-store")
    assert usual.startswith(f"usage: usage-store {' '.join(words)} ")
    module = f"python -m usage_store.{words[0]}"
    by_door = page(capsys, words[1:], module, door=words[:1])
    assert by_door.startswith(f"usage: {module} ")
    assert in_one_line(by_door).replace(module, f"usage-store {words[0]}") == in_one_line(usual)


def test_each_way_to_start_the_program_has_its_own_usage_line(tmp_path: Path) -> None:
    code = "import sys; from usage_store.cli import start; sys.exit(start())"
    for done, typed in (
        (run_python("-m", "usage_store", "--help", cwd=tmp_path), "python -m usage_store COMMAND"),
        (run_python("-c", code, "--help", cwd=tmp_path), "usage-store COMMAND"),
        (command("--help", cwd=tmp_path), "python -m usage_store.migrate [COMMAND]"),
        (command("status", "--help", cwd=tmp_path), "python -m usage_store.migrate status"),
        (maintain_command("--help", cwd=tmp_path), "python -m usage_store.maintain"),
        (run_python("-m", "usage_store.convert", "--help", cwd=tmp_path), "python -m usage_store.convert [DATABASE]"),
    ):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: {typed} [options]\n")
    assert list(tmp_path.iterdir()) == []
