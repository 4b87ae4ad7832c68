"""The structure of the package: which module may import which, which may use a driver, and how large each may be."""

from __future__ import annotations

import ast
import configparser
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import usage_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PACKAGE = Path(usage_store.__file__).parent
MOST_FILES = 12
MOST_LINES = 300
DRIVERS = {"sqlite3", "pysqlite3", "sqlcipher3", "apsw", "cysqlite", "psycopg", "psycopg2"}
SQLITE = re.compile(r"PRAGMA|pragma|sqlite_(master|schema|sequence)")
A_DATABASE = re.compile(r"\b\w*Database(Proxy)?\b")
USAGE_TABLES = re.compile(r"\busage_(config|sessions|snapshot\w*|store_state)\b")
USAGE = [
    [name]
    for name in (
        "models",
        "run_maintenance",
        "maintenance_after_inserts",
        "bind_models",
        "migrate_usage_tables",
        "database",
        "api",
        "convert",
        "cli",
        "testing",
    )
]
PROJECT = "usage_store.migrate.files.migrations_folder"  # has the usage tables as its default
CONTAINER = re.compile(r"(\w+\.)*(dict|list|set|defaultdict|deque|Counter|OrderedDict|Weak\w+)\b")
CHANGES = re.compile(
    r"add|append|appendleft|clear|discard|extend|insert|pop\w*|remove|setdefault|update\w*|__setitem__"
)

INTO_THE_ROOMS = {"usage_store"}  # the SQLite function of the package is public
FOR_EVER = {"usage_store.models.sqlite.rows.sql_functions._kept"}  # functions that a driver must never free
# Python calls fork hooks without arguments, so they need this list of connections to close or to keep.
OF_THE_FORK_HOOKS = {
    "usage_store.engines.postgresql.connection.forks._databases",
    "usage_store.engines.postgresql.connection.forks._held",
    "usage_store.engines.sqlite.connection.notice_replaced_file.INHERITED",
    "usage_store.engines.sqlite.connection.notice_replaced_file.OPEN",
    "usage_store.engines.sqlite.connection.forks._databases",
    "usage_store.engines.sqlite.connection.forks._held",
    "usage_store.engines.sqlite.connection.forks._inherited",
    "usage_store.engines.sqlite.migrating.migration_lock._held",
}
OF_SUBCLASSES = {"usage_store.testing.migration_tests.class_of_tests.MigrationTests.fill_values"}  # they replace it
OF_THE_BINDING = {"usage_store.models.base.UsageModel.blocks"}  # which all threads share, as they share the models


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path

    @property
    def folder(self) -> str:
        """The folder of the file. A file at the top of the package is its own folder."""
        inside = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        return self.name if inside == "usage_store" else inside

    @property
    def is_door(self) -> bool:
        return self.path.name == "__main__.py" or self.name == "usage_store.maintain"

    @property
    def knows_its_engine(self) -> bool:
        return not {"postgresql", "sqlite"}.isdisjoint(self.path.relative_to(PACKAGE).parts)

    @property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def tree(self) -> ast.Module:
        return parsed(self.path)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> Mapping[str, Module]:
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {
        name.removesuffix(".__init__"): Module(name.removesuffix(".__init__"), path)
        for path, name in sorted(names.items())
    }


def imported(tree: ast.AST) -> Iterator[str]:
    """Return the names that a module imports, including deferred, typing-only and string imports.

    A plain `import usage_store` is not counted, because the package is always imported before its modules.
    """
    loggers = {id(node.args[0]) for node in ast.walk(tree) if isinstance(node, ast.Call) and names_a_logger(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name != "usage_store")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and node.value in modules() and id(node) not in loggers:
            yield str(node.value)


def names_a_logger(call: ast.Call) -> bool:
    return ast.unparse(call.func) == "logging.getLogger"


def home(name: str) -> str | None:
    """Return the module of the package that defines an imported name."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name or None


@cache
def imports(module: Module) -> frozenset[str]:
    found = {name for name in map(home, imported(module.tree)) if name is not None} - {module.name}
    return frozenset(found if module.name != PROJECT else {name for name in found if not of_usage(name)})


def of_usage(name: str) -> bool:
    return name.split(".")[1:2] in USAGE


def strings_and_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) | ast.Attribute(attr=text) | ast.Name(id=text):
                yield text
            case ast.keyword(arg=str() as text) | ast.arg(arg=text) | ast.FunctionDef(name=text):
                yield text


def circles(graph: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the groups of nodes in which each node can reach every other node."""
    reached = {node: reach(graph, node) for node in graph}
    return {
        " ".join(sorted(other for other in reached[node] if node in reached[other]))
        for node in graph
        if node in reached[node]
    }


def reach(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    found: set[str] = set()
    ahead = set(graph[start])
    while ahead:
        found |= ahead
        ahead = {after for node in ahead for after in graph[node]} - found
    return found


def compare(found: set[str], left: Iterable[str] = ()) -> None:
    """Fail if a name is found that is not on the list, or if a name on the list is not found."""
    told = [f"new: {name}" for name in sorted(found.difference(left))]
    told += [f"no longer so: {name}" for name in sorted(set(left) - found)]
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def test_no_modules_import_each_other_in_a_circle() -> None:
    compare(circles({name: imports(module) for name, module in modules().items()}))


def test_no_folders_import_each_other_in_a_circle() -> None:
    folders: dict[str, set[str]] = {module.folder: set() for module in modules().values()}
    for module in modules().values():
        if not module.is_door:
            folders[module.folder] |= {modules()[name].folder for name in imports(module)} - {module.folder}
    compare(circles(folders))


def test_a_folder_has_at_most_twelve_modules() -> None:
    inside: dict[Path, list[str]] = {}
    for module in modules().values():
        if module.path.name not in ("__init__.py", "__main__.py"):
            inside.setdefault(module.path.parent, []).append(module.path.stem)
    assert {str(folder): names for folder, names in inside.items() if len(names) > MOST_FILES} == {}


def test_a_module_has_at_most_three_hundred_lines() -> None:
    lines = {name: len(module.source.splitlines()) for name, module in modules().items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_nothing_imports_a_door() -> None:
    """Importing `maintain` would replace the function of this name. A `__main__` module runs when it is imported."""
    doors = {name for name, module in modules().items() if module.is_door}
    assert doors >= {"usage_store.maintain", "usage_store.migrate.__main__"}
    compare({f"{name}: {door}" for name, module in modules().items() for door in imports(module) & doors})


def test_only_the_engines_and_the_storage_import_the_folders_of_an_engine() -> None:
    doors = {
        "usage_store.engines": {"usage_store.engines.postgresql", "usage_store.engines.sqlite"},
        "usage_store.models.storage_interface": {"usage_store.models.postgresql", "usage_store.models.sqlite"},
    }
    found = {
        module.name
        for module in modules().values()
        for name in imports(module)
        if modules()[name].knows_its_engine and not module.knows_its_engine and name not in doors.get(module.name, ())
    }
    compare(found, INTO_THE_ROOMS)


def test_only_folders_of_an_engine_depend_on_its_drivers_and_catalogs() -> None:
    found = {
        f"{module.name}: {what}"
        for module in modules().values()
        if not module.knows_its_engine
        for what in (*drivers(module.tree), *questions(module.tree), *sqlite_words(module.tree))
    }
    compare(found)


def drivers(tree: ast.Module) -> Iterator[str]:
    yield from (f"import {name}" for name in imported(tree) if DRIVERS.intersection(name.split(".")))


def questions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = ast.unparse(node.args[1])
            if A_DATABASE.search(asked):
                yield f"isinstance of {asked}"


def sqlite_words(tree: ast.Module) -> Iterator[str]:
    for text in strings_and_names(tree):
        if found := SQLITE.search(text):
            yield found[0]


def test_migrations_and_engines_know_nothing_of_the_usage_tables() -> None:
    known = set()
    for module in modules().values():
        if module.name.split(".")[1:2] in (["engines"], ["migrate"]) and not module.is_door and module.name != PROJECT:
            told = {text for text in strings_and_names(module.tree) if USAGE_TABLES.search(text)}
            known |= {f"{module.name}: {what}" for what in {*filter(of_usage, imports(module)), *told}}
    compare(known)


def test_one_function_asks_the_usage_tables_for_the_runner() -> None:
    functions = [node for node in modules()[PROJECT].tree.body if isinstance(node, ast.FunctionDef)]
    assert len([function.name for function in functions if any(map(of_usage, imported(function)))]) == 1
    rest = [node for node in modules()[PROJECT].tree.body if node not in functions]
    assert not [name for node in rest for name in imported(node) if of_usage(name)]


def test_no_module_remembers_anything_by_itself() -> None:
    """No function changes a container at the top of a module, because all databases of a process would share it."""
    made = {f"{m.name}.{name}" for m in modules().values() for name in containers(m.tree)}
    changed = {changed for module in modules().values() for changed in changes(module)}
    rebound = {
        f"{module.name}.{name}"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
        for name in node.names
    }
    compare(made & changed | rebound, OF_THE_FORK_HOOKS | FOR_EVER)


def test_no_class_and_no_object_of_a_module_remembers_anything_by_itself() -> None:
    """No class has a container that its objects share, and no module keeps an object with a container of its own."""
    classes = {node.name: node for m in modules().values() for node in m.tree.body if isinstance(node, ast.ClassDef)}
    found = {
        f"{module.name}.{node.name}.{name}"
        for module in modules().values()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
        for name in containers(node)
    }
    found |= {
        f"{module.name}: {ast.unparse(value)}"
        for module in modules().values()
        for value in (getattr(node, "value", None) for node in module.tree.body)
        if isinstance(value, ast.Call) and makes_containers(classes.get(ast.unparse(value.func)))
    }
    compare(found, OF_THE_BINDING | OF_SUBCLASSES)


def makes_containers(node: ast.ClassDef | None) -> bool:
    starts = [] if node is None else [each for each in node.body if getattr(each, "name", "") == "__init__"]
    values = [getattr(each, "value", None) for start in starts for each in ast.walk(start)]
    return any(is_container(value) for value in values)


def containers(tree: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if is_container(value):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def is_container(value: ast.AST | None) -> bool:
    literal = isinstance(value, ast.Dict | ast.List | ast.Set | ast.DictComp | ast.ListComp | ast.SetComp)
    return literal or (isinstance(value, ast.Call) and CONTAINER.match(ast.unparse(value.func)) is not None)


def changes(module: Module) -> Iterator[str]:
    """Return the containers that functions change, as `package.module.NAME`."""
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for function in (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(value=thing, attr=method)) if CHANGES.fullmatch(method):
                    pass
                case ast.Subscript(value=thing, ctx=ast.Store() | ast.Del()):
                    pass
                case ast.AugAssign(target=thing):
                    pass
                case _:
                    continue
            first, dot, rest = ast.unparse(thing).partition(".")
            yield known.get(first, f"{module.name}.{first}") + dot + rest


def test_no_module_can_be_called() -> None:
    found = {
        name
        for name, module in modules().items()
        for statement in module.tree.body
        if isinstance(statement, ast.Assign) and any(ast.unparse(to).endswith(".__class__") for to in statement.targets)
    }
    compare(found)


def test_an_import_inside_a_function_says_why() -> None:
    silent = re.compile(r"# noqa: PLC0415(?!  \S)")
    compare({name for name, module in modules().items() if silent.search(module.source)})


def test_every_folder_with_code_is_installed() -> None:
    settings = configparser.ConfigParser()
    settings.read(PACKAGE.parent / "setup.cfg")
    listed = settings["options"]["packages"].split()
    folders = {".".join(m.path.parent.relative_to(PACKAGE.parent).parts) for m in modules().values()}
    assert sorted(listed) == sorted(folders | {"usage_store.migrations"})
