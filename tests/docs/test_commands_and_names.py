"""The pages name only existing commands, options, functions and errors, and each of these is on a page."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import shlex
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import playhouse
import pytest
from playhouse.migrate import SchemaMigrator

import usage_store
from tests.support.pages import PAGES, blocks_of
from tests.support.programs import ROOT
from tests.support.prose import compare, prose, spans, told_of
from usage_store import (
    MigrationRunner,
    UsageConfig,
    UsageSession,
    UsageSnapshot,
    errors,
    migrate,
    pytest_plugin,
    testing,
)
from usage_store.cli.grammar.commands import COMMANDS
from usage_store.cli.grammar.options import OPTIONS
from usage_store.cli.grammar.parse import parse
from usage_store.models.fields.allowed_values import CONFIG_RULES
from usage_store.testing import migration_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

pytestmark = pytest.mark.quick

PUBLIC = [usage_store, errors, migrate, testing, migration_tests]
OBJECTS = [
    UsageConfig,
    UsageSession,
    UsageSnapshot,
    MigrationRunner,
    SchemaMigrator,
    peewee,
    peewee.Database,
    peewee.ModelSelect,
    pytest_plugin,
]
YOURS = {"check", "down", "notices", "up", "usage_json"}  # what the reader writes, and a function of SQL
CALL = re.compile(r"(?<![\w-])usage-store(?![\w\[-])([^;|&<>()#\n]*)")
PLACEHOLDERS = {"RUNNER": "playhouse", "SOURCE": "playhouse", "OCTAL": "600", "COMMAND": "", "...": ""}


def calls() -> Iterator[tuple[str, str]]:
    """Yield the place of each command, in prose or in a block, and the words after `usage-store`.

    In prose an argument may be left out. Then the help of the command is checked.
    """
    for place, code in spans():
        yield from ((place, f"{call} --help") for call in CALL.findall(code))
    for page in PAGES:
        for block in blocks_of(page):
            commands = [command for _, command, _ in block.steps] if block.language == "console" else [block.text]
            if block.language in ("console", "sh"):
                yield from ((block.place, call) for command in commands for call in CALL.findall(command))


def without_placeholders(call: str) -> list[str]:
    """Return the words of a command, with a value for each word such as VERSION or [--check]."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(re.sub(r"[\[\]]", "", call))]
    return [re.sub(r"^[A-Z]+$", "1", word) for word in words if word]


def test_the_commands_that_a_page_names_are_understood() -> None:
    wrong = []
    for place, call in calls():
        try:
            with redirect_stdout(StringIO()):
                parse(without_placeholders(call), prog="usage-store")
        except SystemExit:  # of --help and --version
            pass
        except errors.ConfigurationError as error:
            wrong.append(f"{place}: usage-store{call}: {error}")
    compare(wrong)


def test_the_options_that_a_page_names_are_there_and_each_option_is_on_a_page() -> None:
    known = {*OPTIONS, "--help", "--version"}
    others = re.compile(r"\b(?:python|pip|pytest|ruff|git|docker|gunicorn|peewee_migrate (?:create|rollback))\b")
    named = {(place, name) for place, code in spans() if not others.search(code) for name in options(code)}
    benchmarks = {name for path in ROOT.glob("tests/benchmarks/*.py") for name in options(path.read_text())}
    compare(f"{place}: there is no option {name}" for place, name in named if name not in known | benchmarks)
    compare(f"no page names the option {name}" for name in known - {name for _, name in named} - {"--help"})


def options(code: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)


def test_each_command_is_on_a_page() -> None:
    text = "\n".join(f"usage-store{call}" for _, call in calls())
    names = [" ".join(("usage-store", *words)) for words in COMMANDS if words]
    listed = {
        word for code in re.findall(r"`usage-store migrate[^|\n]*", prose("README.md")) for word in code.split("`")
    }
    compare(
        f"no page names the command {name}" for name in names if name not in text and name.split()[-1] not in listed
    )


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_each_public_name_is_on_a_page(module: Any) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES.values())
    compare(
        f"no page names {module.__name__}.{name}"
        for name in module.__all__
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    )


def test_the_classes_that_a_page_names_are_there() -> None:
    sources = [peewee.__file__, *map(str, Path(playhouse.__path__[0]).glob("*.py"))]
    theirs = "".join(Path(source).read_text(encoding="utf-8") for source in sources)
    compare(
        f"{place}: there is no class {code}"
        for place, code in spans()
        if re.fullmatch(r"(?:[A-Z]+[a-z0-9]+){2,}", code)
        and not any(hasattr(module, code) for module in [*PUBLIC, builtins])
        and not re.search(rf"^class {code}\b|^\s*{code} =", theirs, re.MULTILINE)
    )


def test_the_functions_and_arguments_that_a_page_names_are_there() -> None:
    compare(f"{place}: {code}: {why}" for place, code in spans() for why in faults(code))


def faults(code: str) -> Iterator[str]:
    """Return the names and arguments in a piece of Python that do not exist. Other code has none."""
    if "/" in code:  # a file
        return
    try:
        tree = ast.parse(f"{code} ..." if code.endswith(":") else code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from missing_attribute(ast.unparse(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from missing_arguments(node.func.id, node.keywords)


def missing_attribute(dotted: str) -> Iterator[str]:
    first, *rest = dotted.split(".")
    named = {name: getattr(usage_store, name) for name in usage_store.__all__}
    thing: Any = {"usage_store": usage_store, **named}.get(first)
    for name in rest if thing is not None else ():
        if inspect.ismodule(thing) and not hasattr(thing, name):
            with suppress(ImportError):
                importlib.import_module(f"{thing.__name__}.{name}")
        if not hasattr(thing, name):
            yield f"{dotted} is not there"
            return
        thing = getattr(thing, name)


def missing_arguments(name: str, keywords: Iterable[ast.keyword]) -> Iterator[str]:
    public = {name: getattr(module, name) for module in PUBLIC for name in module.__all__}
    function = public.get(name) or next((getattr(thing, name) for thing in OBJECTS if hasattr(thing, name)), None)
    if function is None and name not in YOURS and not hasattr(builtins, name):
        yield f"there is no function {name}"
    if function is None or name not in usage_store.__all__:
        return
    known = inspect.signature(function).parameters
    yield from (f"{name} has no argument {keyword.arg}" for keyword in keywords if keyword.arg not in known)


def test_the_fields_of_the_configuration_are_those_that_a_page_names() -> None:
    rows = re.findall(r"^\| (`\w+`) \| (`[^|]*`) \| (.*) \|$", prose("docs/reading.md"), re.MULTILINE)
    fields = {
        name.strip("`"): (default.strip("`"), re.findall(r"`([^`]*)`", allowed)) for name, default, allowed in rows
    }
    assert list(fields) == list(CONFIG_RULES)
    for name, (default, allowed) in fields.items():
        rule, values = CONFIG_RULES[name], [ast.literal_eval(value) for value in allowed]
        assert ast.literal_eval(default) == rule.default, name
        assert [value for value in values if not rule.accepts(value)] == [], name
        if all(isinstance(value, str) for value in values) and name != "timezone":
            assert ", ".join(values) == rule.allowed, name


WRONG = """\
`usage-store migrate rolback`, `usage-store maintain --retain 3`, `validate --fast`

`NoSuchError`, `errors.NoSuchError`, `init_database(keep=3)`, `open_database()`

`UsageSnapshot.last()`

```console
$ usage-store migrate stamp
```
"""


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (
            test_the_commands_that_a_page_names_are_understood,
            ["1: usage-store maintain --retain 3", "1: usage-store migrate rolback", "7: usage-store migrate stamp"],
        ),
        (
            test_the_options_that_a_page_names_are_there_and_each_option_is_on_a_page,
            ["1: there is no option --fast", "1: there is no option --retain"],
        ),
        (test_the_classes_that_a_page_names_are_there, ["3: there is no class NoSuchError"]),
        (
            test_the_functions_and_arguments_that_a_page_names_are_there,
            [
                "3: errors.NoSuchError: errors.NoSuchError is not there",
                "3: init_database(keep=3): init_database has no argument keep",
                "3: open_database(): there is no function open_database",
                "5: UsageSnapshot.last(): UsageSnapshot.last is not there",
            ],
        ),
    ],
)
def test_a_page_that_is_wrong_is_named_with_its_line(
    test: Callable[[], None], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told_of(WRONG, test, tmp_path, monkeypatch)
    assert [line[: len(start)] for line, start in zip(lines, told, strict=True)] == told
