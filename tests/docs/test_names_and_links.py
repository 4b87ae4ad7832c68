"""The pages name only what is there, and all that is there is on a page: links, files, commands, options, names."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import re
import shlex
import shutil
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import playhouse
import pytest
from playhouse.migrate import SchemaMigrator

import usage_store
from tests.support.pages import FENCE, PAGES, blocks_of
from tests.support.programs import ROOT
from usage_store import MigrationRunner, UsageConfig, UsageSession, UsageSnapshot, errors, migrate, testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

pytestmark = [
    pytest.mark.quick,
    pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="needs docs/"),
]

PUBLIC = [usage_store, errors, migrate, testing]
OBJECTS = [
    UsageConfig,
    UsageSession,
    UsageSnapshot,
    MigrationRunner,
    SchemaMigrator,
    peewee,
    peewee.Database,
    peewee.ModelSelect,
]
YOURS = {"check", "down", "notices", "up", "usage_json"}  # what the reader writes, and a function of SQL
SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CALL = re.compile(r"\busage-store\b([^;|&<>()#\n]*)")
PLACEHOLDERS = {"RUNNER": "playhouse", "SOURCE": "playhouse", "OCTAL": "600", "COMMAND": "", "...": ""}


def prose(page: str) -> str:
    """The text of a page with empty lines in the place of its blocks, so that line numbers stay."""
    text = PAGES[page].read_text(encoding="utf-8")
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)


def found_in(text: str, pattern: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """The line and the first group of each match."""
    for found in pattern.finditer(text):
        yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


def spans() -> Iterator[tuple[str, str]]:
    """Where a piece of code stands in the prose, and the code."""
    for page in PAGES:
        yield from ((f"{page}:{line}", code) for line, code in found_in(prose(page), SPAN))


def compare(wrong: Iterable[str]) -> None:
    told = sorted(wrong)
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings of a page."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE))
    return {heading.replace(" ", "-") for heading in headings}


def test_the_links_lead_somewhere() -> None:
    wrong = []
    for page, path in PAGES.items():
        for line, link in found_in(prose(page), LINK):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if name.startswith(("https://", "http://")):
                continue
            if not target.exists():
                wrong.append(f"{page}:{line}: {link}: there is no such file")
            elif anchor and anchor not in anchors(target):
                wrong.append(f"{page}:{line}: {link}: the headings there are {sorted(anchors(target))}")
    compare(wrong)


def test_the_readme_is_short() -> None:
    assert PAGES["README.md"].stat().st_size <= 8_000


def test_the_readme_leads_to_every_page() -> None:
    linked = {link.partition("#")[0] for _, link in found_in(prose("README.md"), LINK)}
    compare(f"README.md has no link to {page}" for page in PAGES if page not in {*linked, "README.md"})


def test_the_files_that_a_page_names_are_there() -> None:
    ours = re.compile(r"(?:^|(?<=\s))(?:docs|migrations|tests|usage_store)/[\w./-]*")
    compare(
        f"{place}: {name}: there is no such file"
        for place, code in spans()
        for name in ours.findall(code)
        if "NNN" not in name and not (ROOT / name).exists()
    )


def test_the_pages_that_a_message_names_are_there() -> None:
    named = re.compile(r"\b(README|docs)\b(?:/([\w-]+\.md)|: (\w[\w ]*))?")
    compare(
        f"{path.relative_to(ROOT)}: {found[0]}: there is no such page"
        for path in (ROOT / "usage_store").rglob("*.py")
        for found in named.finditer(path.read_text(encoding="utf-8"))
        if found[3] or not (ROOT / found[1] / (found[2] or "") if found[1] == "docs" else PAGES["README.md"]).exists()
    )


def test_the_modules_that_a_page_starts_are_there() -> None:
    compare(
        f"{place}: there is no module {module}"
        for place, code in spans()
        for module in re.findall(r"python3? -m ((?:tests|usage_store)[\w.]*)", code)
        if importlib.util.find_spec(module) is None
    )


def calls() -> Iterator[tuple[str, str]]:
    """Where a command stands, in prose or in a block, and what follows `usage-store`.

    In prose an argument may be left out, so that is asked for the command's help.
    """
    for place, code in spans():
        yield from ((place, f"{call} --help") for call in CALL.findall(code))
    for page in PAGES:
        for block in blocks_of(page):
            commands = [command for _, command, _ in block.steps] if block.language == "console" else [block.text]
            if block.language in ("console", "sh"):
                yield from ((block.place, call) for command in commands for call in CALL.findall(command))


def grammar(name: str) -> Any:
    return pytest.importorskip(f"usage_store.cli.grammar.{name}")


def without_placeholders(call: str) -> list[str]:
    """The words of a command with a value for each word such as VERSION or [--check]."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(re.sub(r"[\[\]]", "", call))]
    return [re.sub(r"^[A-Z]+$", "1", word) for word in words if word]


def test_the_commands_that_a_page_names_are_understood() -> None:
    parse = grammar("parse").parse
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
    known = {*grammar("options").OPTIONS, "--help", "--version"}
    others = re.compile(r"\b(?:python|pip|pytest|ruff|git|docker)\b")
    named = {(place, name) for place, code in spans() if not others.search(code) for name in options(code)}
    benchmarks = {name for path in ROOT.glob("tests/benchmarks/*.py") for name in options(path.read_text())}
    compare(f"{place}: there is no option {name}" for place, name in named if name not in known | benchmarks)
    compare(f"no page names the option {name}" for name in known - {name for _, name in named} - {"--help"})


def options(code: str) -> list[str]:
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)


def test_each_command_is_on_a_page() -> None:
    text = "\n".join(f"usage-store{call}" for _, call in calls())
    names = [" ".join(("usage-store", *words)) for words in grammar("commands").COMMANDS if words]
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
    """Say which names and arguments of a piece of Python are not there; other code has none."""
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


WRONG = """\
# A page

[One](#no-heading), [two](no-page.md), [three](../README.md#first-example), [four](#a-page)

`tests/no_test.py`, `python -m tests.no_module`, `usage-store migrate rolback`, `usage-store maintain --retain 3`,
`validate --fast`, `NoSuchError`, `errors.NoSuchError`, `init_database(keep=3)`, `open_database()`,
`UsageSnapshot.last()`

```console
$ usage-store migrate stamp
```
"""


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (test_the_links_lead_somewhere, ["3: #no-heading: the headings there are ['a-page']", "3: no-page.md: there"]),
        (test_the_readme_leads_to_every_page, ["README.md has no link to docs/made-up.md"]),
        (test_the_files_that_a_page_names_are_there, ["5: tests/no_test.py: there is no such file"]),
        (test_the_modules_that_a_page_starts_are_there, ["5: there is no module tests.no_module"]),
        (
            test_the_commands_that_a_page_names_are_understood,
            ["5: usage-store maintain --retain 3", "5: usage-store migrate rolback", "9: usage-store migrate stamp"],
        ),
        (
            test_the_options_that_a_page_names_are_there_and_each_option_is_on_a_page,
            ["5: there is no option --retain", "6: there is no option --fast"],
        ),
        (test_the_classes_that_a_page_names_are_there, ["6: there is no class NoSuchError"]),
        (
            test_the_functions_and_arguments_that_a_page_names_are_there,
            [
                "6: errors.NoSuchError: ",
                "6: init_database(keep=3): init_database has no argument keep",
                "6: open_database(): there is no function",
                "7: UsageSnapshot.last(): ",
            ],
        ),
    ],
)
def test_a_page_that_is_wrong_is_named_with_its_line(
    test: Callable[[], None], told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "docs" / "made-up.md"
    page.parent.mkdir()
    page.write_text(WRONG, encoding="utf-8")
    shutil.copy(PAGES["README.md"], tmp_path)
    monkeypatch.setitem(PAGES, "docs/made-up.md", page)
    with pytest.raises(pytest.fail.Exception) as caught:
        test()
    lines = [line.removeprefix("docs/made-up.md:") for line in str(caught.value).splitlines() if "made-up" in line]
    assert [line[: len(start)] for line, start in zip(sorted(lines), told, strict=True)] == told
