"""Options may stand anywhere on a command line. A mistake is one line that names the right word."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

import usage_store
from tests.support.commands import called, command
from tests.support.migrations import table, write
from tests.support.programs import run_python
from usage_store.cli.grammar.parse import parse
from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


def words_of(line: str) -> tuple[str, ...]:
    found: tuple[str, ...] = parse(line.split(), prog="usage-store").words
    return found


@pytest.mark.quick
@pytest.mark.parametrize(
    "line",
    [
        "migrate status --json --database a.db",
        "--json --database a.db migrate status",
        "migrate --json --database a.db status",
        "--database=a.db migrate --json status",
        "migrate status --database b.db --json --database a.db",
    ],
)
def test_options_stand_before_between_and_after_the_words_of_the_command(line: str) -> None:
    arguments = parse(line.split(), prog="usage-store")
    assert (arguments.words, arguments.database, arguments.json) == (("migrate", "status"), "a.db", True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("migrate --table status", ("migrate",)),
        ("migrate --directory check rollback", ("migrate", "rollback")),
        ("--database migrate maintain", ("maintain",)),
        ("migrate create status --directory own", ("migrate", "create")),
        ("migrate create rollback", ("migrate", "create")),
        ("convert migrate", ("convert",)),
        ("migrate --rename status:log create x", ("migrate", "create")),
        ("migrate restore backup", ("migrate", "restore")),
        ("migrate create -- --odd", ("migrate", "create")),
        ("migrate create -- status", ("migrate", "create")),
    ],
)
def test_the_value_of_an_option_is_not_taken_for_a_command(line: str, words: tuple[str, ...]) -> None:
    assert words_of(line) == words


@pytest.mark.parametrize("line", ["-- migrate status", "migrate -- status", "migrate --json -- status"])
def test_a_command_may_stand_after_two_dashes(line: str) -> None:
    assert words_of(line) == ("migrate", "status")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("migrate validate --quick --full", "--quick and --full exclude each other; give one of them"),
        ("migrate validate --full --quick", "--quick and --full exclude each other; give one of them"),
        ("maintain --no-compact --compact-after-days 3", "--compact-after-days and --no-compact exclude each other"),
        ("maintain --compact-after-days=3 --no-compact", "--compact-after-days and --no-compact exclude each other"),
    ],
)
def test_options_that_contradict_each_other_are_refused(line: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{said}"):
        parse(line.split(), prog="usage-store")


def test_a_value_belongs_to_the_option_before_it() -> None:
    arguments = parse(["migrate", "--table", "status", "--directory", "check", "rollback", "-1"], prog="usage-store")
    assert (arguments.table, arguments.directory, arguments.target) == ("status", "check", -1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("status", "status is not a command of `usage-store`; did you mean `usage-store migrate status`?"),
        ("migrat", "migrat is not a command of `usage-store`; did you mean `migrate`?"),
        (
            "migrate maintain",
            "maintain is not a command of `usage-store migrate`; did you mean `usage-store maintain`?",
        ),
        ("migrate rolback", "rolback is not a command of `usage-store migrate`; did you mean `rollback`?"),
        (
            "migrate status --databse x",
            "--databse is not an option of `usage-store migrate status`; did you mean --database?",
        ),
        ("migrate --dir own status", "--dir is not an option of `usage-store migrate`; did you mean --directory?"),
        ("migrate --verb", "--verb is not an option of `usage-store migrate`; did you mean --verbose?"),
        ("maintain --keep", "--keep is not an option of `usage-store maintain`; `usage-store maintain --help` shows"),
        (
            "migrate frobnicate",
            "frobnicate is not a command of `usage-store migrate`; `usage-store migrate --help` shows",
        ),
        (
            "migrate status --stored-source",
            "--stored-source is an option of `migrate rollback`, not of `usage-store mig",
        ),
        ("migrate status 3", "3 is one word too many: `usage-store migrate status` takes only options"),
        ("migrate rollback 1 2", "2 is one argument too many for `usage-store migrate rollback`"),
        ("migrate rollback one", "VERSION: 'one' is not a number; VERSION is the number at the start of a migration's"),
        ("migrate rollback 1.5", "VERSION: '1.5' is not a number"),
        ("migrate rollback 1_0", "VERSION: '1_0' is not a number"),
        ("migrate stamp", "the following arguments are required: VERSION; `usage-store migrate stamp --help` shows"),
        ("migrate --directory= status", "--directory: an empty text is not a path"),
        ("migrate --wait soon", "--wait: 'soon' is not a number of seconds from 0 to 1000000"),
        ("maintain --retention-days 30d", "--retention-days: '30d' is not a number of days"),
        ("maintain --budget", "--budget: expected one argument"),
        ("migrate adopt alembic", "RUNNER: invalid choice: 'alembic' (choose from"),
        ("maintain --dry-run=yes", "--dry-run: ignored explicit argument 'yes'"),
        (f"migrate {'x' * 5000}", f"{'x' * 80}... is not a command of `usage-store migrate`"),
        (f"--{'x' * 5000}", f"--{'x' * 78}... is not an option of `usage-store`"),
    ],
)
def test_a_mistake_is_one_line_that_names_what_is_right(line: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(line.split(), prog="usage-store")
    assert str(raised.value).startswith(said)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("words", [("--json", "rolback"), ("rolback", "--json"), ("rollback", "one", "--json")])
def test_a_usage_error_is_json_for_programs_too(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = command(*words, cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"], told["error"], told["applied"]) == (2, 2, "ConfigurationError", [])
    assert done.stderr == f"error: {told['message']}\n"


def test_without_a_command_the_commands_are_listed(tmp_path: Path) -> None:
    done = run_python("-m", "usage_store", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    *listed, error = done.stderr.splitlines()
    assert listed[0] == "usage: python -m usage_store COMMAND [options]"
    for name in ("migrate", "maintain", "convert"):
        assert any(line.startswith(f"  {name} ") for line in listed)
    assert error == "error: no command is given; `python -m usage_store --help` explains them"
    assert json.loads(run_python("-m", "usage_store", "--json", cwd=tmp_path).stdout)["exit_code"] == 2


@pytest.mark.parametrize(
    "words", ["usage_store --version", "usage_store.migrate --version", "usage_store migrate log --version"]
)
def test_the_version_is_printed(tmp_path: Path, words: str) -> None:
    done = run_python("-m", *words.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"usage-store {usage_store.__version__}\n", "")


def test_usage_store_does_the_same_as_the_modules(tmp_path: Path) -> None:
    done = run_python("-m", "usage_store", "migrate", cwd=tmp_path)
    assert (done.returncode, done.stdout.count("applied")) == (0, 3)
    for name in ("maintain", "convert", "migrate validate"):
        done = run_python("-m", "usage_store", *name.split(), "--database", "usage.db", "--wait", "5", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), name
    assert run_python("-m", "usage_store", "convert", "usage.db", cwd=tmp_path).stdout == "nothing to convert\n"
    two = run_python("-m", "usage_store", "convert", "usage.db", "--database", "other.db", cwd=tmp_path)
    assert two.returncode == 2
    assert two.stderr.startswith("error: two databases are given: DATABASE and --database; give one of them")


def test_a_tilde_is_the_home_folder_also_after_an_equals_sign(tmp_path: Path) -> None:
    write(tmp_path / "own", {"001_one": table("one")})
    where = ("--database", "app.db", "--directory=~/own")
    done = command(*where, cwd=tmp_path, HOME=str(tmp_path))
    assert (done.returncode, done.stdout.startswith("applied 001_one")) == (0, True)
    backup = re.match(
        r"backed up version 1 to .+/(\S+) ", command("backup", *where, cwd=tmp_path, HOME=str(tmp_path)).stdout
    )
    assert backup is not None
    done = command("restore", f"~/{backup[1]}", *where, cwd=tmp_path, HOME=str(tmp_path))
    assert (done.returncode, done.stdout.startswith(f"restored {tmp_path}/")) == (0, True), done.stderr


ODD = os.fsdecode(b"\xff")


@pytest.mark.parametrize(
    "words",
    [
        ("--directory", ODD),
        ("--table", ODD),
        (ODD,),
        (f"--{ODD}",),
        ("rollback", ODD),
        ("--wait", ODD),
        ("create", ODD, "--directory", "own"),
        ("create", "x", "--directory", "own", "--from", ODD),
        ("restore", ODD),
        ("adopt", ODD),
        ("--database", f"gone/{ODD}"),
        ("--database", "."),
        ("status", "--database", "."),
        ("--database", ""),
        ("restore", ""),
        ("--directory", "", "create", "x"),
        ("create", "", "--directory", "own"),
        ("--table", ""),
        ("--table", "a b"),
        ("--directory", "gone"),
        ("create", "x", "--directory", "own", "--from", "m", "--rename", "a:b", "--rename", "a:c"),
    ],
)
def test_an_invalid_value_is_one_line_and_creates_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = called(*words, cwd=tmp_path)
    assert done.returncode in (2, 8), done
    assert re.fullmatch(r"(.+: there is no database yet; .+\n)?error: .+\n", done.stderr)
    assert list(tmp_path.iterdir()) == []
