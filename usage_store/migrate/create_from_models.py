"""Write migrations from the difference between Peewee models and a live SQLite database.

playhouse.schema_diff does not look at types, NULL, defaults, CHECKs and foreign-key actions, and knows partial and
expression indexes by name alone; so peewee makes the models' tables in memory, and the two catalogs are compared.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import peewee

from usage_store.engines import engine_of, inner
from usage_store.errors import ConfigurationError
from usage_store.migrate.files import new_file
from usage_store.migrate.files.import_by_name import import_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import ModuleType
    from typing import TypeGuard

    from usage_store.engines.interface.table_changes import Rebuild

_WIDTH = 120
_NOTHING = '    raise NotImplementedError("write what the TODO says first")\n'


@dataclass(frozen=True, slots=True)
class Generated:
    """A migration that is not in a file yet.

    `source` is what follows the docstring in its file, `todo` what it could not write, a line each; `empty` is True
    when the database has what the models say, and then there is no source.
    """

    source: str
    todo: tuple[str, ...]
    empty: bool


def generate(
    database: peewee.Database | peewee.DatabaseProxy,
    models: Sequence[type[peewee.Model]],
    *,
    renames: Mapping[str, str] | None = None,
) -> Generated:
    """Write the migration that gives a connected database the tables of the models. Reads only.

    `renames` maps an old table to its new name, and "table.old" to a column's new name. Only the models' tables are
    looked at, with their indexes; triggers and views stay. The source runs SQL and rebuilds tables, up and down, and
    imports nothing. Raises ConfigurationError for models that SQLite refuses and renames that do not fit.
    """
    changes = engine_of(database).from_models.model_changes(inner(database), models, renames or {})
    if not changes:
        return Generated("", (), empty=True)
    todo = tuple(line for change in changes for line in change.todo)
    drops = [name for change in changes for name in change.drops]
    up = [step for change in changes for step in change.up]
    down = [step for change in reversed(changes) for step in change.down]
    head = "".join(_comment(line) for line in todo)
    if drops:
        head += ("\n" if head else "") + _declaration("drops", drops)
    source = (
        ("\n" + head if head else "")
        + '\n\ndef up(migrator, db):\n    """Apply; runs in one transaction together with its history row."""\n'
        + ("".join(map(_step, up)) or _NOTHING)
        + '\n\ndef down(migrator, db):\n    """Undo `up`."""\n'
        + ("".join(map(_step, down)) or _NOTHING)
    )
    return Generated(source, todo, empty=False)


def write(directory: Path, title: str, generated: Generated) -> Path:
    """Write a generated migration under the next number and return its path; make the directory if need be.

    Raises as `template.create`.
    """
    return new_file.create(directory, title, generated.source)


def _comment(line: str) -> str:
    return textwrap.fill(line, _WIDTH, initial_indent="# TODO: ", subsequent_indent="#   ") + "\n"


def _declaration(name: str, values: Sequence[str]) -> str:
    listed = [_literal(value) for value in values]
    line = f"{name} = ({', '.join(listed)}{',' if len(listed) == 1 else ''})\n"
    if len(line) <= _WIDTH and "\n" not in line[:-1]:
        return line
    return f"{name} = (\n" + "".join(f"    {value},\n" for value in listed) + ")\n"


def _step(step: str | Rebuild) -> str:
    if isinstance(step, str):
        return f"    db.execute_sql({_literal(step, room=_WIDTH - 20)})\n"
    lines = [f"create = {_literal(step.sql)}"]
    columns = drop = ""
    if step.columns:
        lines += ["columns = {", *(_entry(name, sql) for name, sql in step.columns.items()), "}"]
        columns = ", columns"
    if step.drop:
        lines.append(_declaration("drop", step.drop).rstrip())
        drop = ", drop=drop"
    lines.append(f"migrator.migrate(migrator.rebuild_table({_literal(step.table)}, create{columns}{drop}))")
    return "".join(f"    {line}\n" for line in lines)


def _entry(name: str, sql: str) -> str:
    return f"    {_literal(name)}: {_literal(sql)}," + ("  # TODO" if sql == "NULL" else "")


def _literal(text: str, *, room: int = _WIDTH - 30) -> str:
    """Write a string as Python: in one line if it fits, else with the breaks that it has, and escaped ones."""
    if len(text) <= room and "\n" not in text and not ("'" in text and '"' in text):
        return repr(text) if '"' in text else f'"{repr(text)[1:-1]}"'
    # Python reads a carriage return as a line feed, and a quote at the end as one of the closing ones.
    body = text.removesuffix('"')
    escaped = body.replace("\\", "\\\\").replace('"""', r"\"\"\"").replace("\r", r"\r")
    escaped += r"\"" * (len(text) - len(body))
    return '"""\\\n' + "\n".join(map(_broken, escaped.split("\n"))) + '"""'


def _broken(line: str) -> str:
    # A backslash at the end of a line joins it with the next one: the string stays what it is.
    pieces = re.findall(rf".{{1,{_WIDTH - 5}}}(?:\s|$)|\S+\s?|\s", line)
    return "\\\n".join(pieces)


def load_models(spec: str) -> list[type[peewee.Model]]:
    """Import `package.models` or `package.models:NAME`, with the current folder importable, and list its models.

    A module gives the models that it or its submodules define, with the through models of its many-to-many fields;
    a model that others in it derive from, or that has no field of its own, is taken for a base and left out. NAME is
    a model or an iterable of models, taken as it is. Raises ConfigurationError if there is nothing to load.
    """
    name, _, attribute = spec.partition(":")
    if not name:
        raise ConfigurationError(f"{spec!r}: not a module of models; allowed: package.models or package.models:NAME")
    module = import_module(name)
    if not attribute:
        return _models_in(module)
    found = getattr(module, attribute, None)
    # A model class is iterable too: it would select its rows.
    listed = list(found) if isinstance(found, Iterable) and not _is_model(found) else [found]
    models = [model for model in listed if _is_model(model)]
    if not models or len(models) < len(listed):
        raise ConfigurationError(f"{spec}: not a model or a list of models")
    return models


def _models_in(module: ModuleType) -> list[type[peewee.Model]]:
    own = (module.__name__, module.__name__ + ".")
    found = {
        value: None
        for value in vars(module).values()
        if _is_model(value) and (value.__module__ == own[0] or value.__module__.startswith(own[1]))
    }
    through = {field.through_model: None for model in found for field in model._meta.manytomany.values()}
    models = [model for model in found if not _is_base(model, found)]
    if not models:
        raise ConfigurationError(f"{module.__name__}: defines no models; name them with {module.__name__}:NAME")
    return list(dict.fromkeys([*models, *through]))


def _is_base(model: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> bool:
    fields = model._meta.sorted_fields
    no_fields = len(fields) == 1 and type(fields[0]) is peewee.AutoField and not model._meta.indexes
    return no_fields or any(issubclass(other, model) for other in models if other is not model)


def _is_model(value: Any) -> TypeGuard[type[peewee.Model]]:
    return isinstance(value, type) and issubclass(value, peewee.Model)
