"""Import a module of Peewee models, and tell the models that have tables from the bases that only others have."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from usage_store.errors import ConfigurationError
from usage_store.migrate.files.import_by_name import import_module

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import ModuleType
    from typing import TypeGuard

    from usage_store.engines.interface.schema_differences import Catalog


class Models(NamedTuple):
    """Models that have tables, and those of which only a database can tell whether they have.

    `statements` made or changed tables, of whichever database, while the models were imported.
    """

    sure: tuple[type[peewee.Model], ...]
    bases: tuple[type[peewee.Model], ...] = ()
    statements: tuple[str, ...] = ()

    def in_use(self, tables: Collection[str]) -> tuple[list[type[peewee.Model]], list[str]]:
        """Give the models that have tables, and a line for each that is left out though it may have one.

        A base counts if its table is one of `tables` (lower case), or if a model that counts refers to it.
        Raises ConfigurationError if none does.
        """
        models, left = list(self.sure), list(self.bases)
        while used := [base for base in left if _is_used(base, models, tables)]:
            models += used
            left = [base for base in left if base not in used]
        if not models:
            names = ", ".join(base.__name__ for base in left)
            raise ConfigurationError(
                f"{names}: without a table in the database, and with no field or only as a base; "
                "name what is to have one, as MODULE:NAME of a list of models"
            )
        return models, [line for base in left for line in _left_out(base, models)]


def load_models(spec: str) -> Models:
    """Import `package.models` or `package.models:NAME`, with the current folder importable, and list its models.

    A module gives the models that it or its submodules define, with the through models of its many-to-many fields;
    a model that others in it derive from, or that has no field of its own, may be a base. NAME is a model or an
    iterable of models, taken as it is. Raises ConfigurationError if there is nothing to load.
    """
    name, _, attribute = spec.partition(":")
    if not name:
        raise ConfigurationError(f"{spec!r}: not a module of models; allowed: package.models or package.models:NAME")
    with _noted() as statements:
        module = import_module(name)
    if not attribute:
        return _models_in(module)._replace(statements=tuple(statements))
    found = getattr(module, attribute, None)
    # A model class is iterable too: it would select its rows.
    listed = list(found) if isinstance(found, Iterable) and not _is_model(found) else [found]
    models = tuple(model for model in listed if _is_model(model))
    if not models or len(models) < len(listed):
        raise ConfigurationError(f"{spec}: not a model or a list of models")
    return Models(models, statements=tuple(statements))


@contextmanager
def _noted() -> Iterator[list[str]]:
    """Collect the block's statements that make or change tables, as peewee logs them before it runs them."""
    logger = logging.getLogger("peewee")
    level, wanted = logger.level, logger.isEnabledFor(logging.DEBUG)
    statements: list[str] = []

    def note(record: logging.LogRecord) -> bool:
        sql = str(record.msg[0]) if isinstance(record.msg, tuple) else ""
        if sql.upper().startswith(("CREATE ", "ALTER ", "DROP ")):
            statements.append(sql)
        return wanted

    logger.addFilter(note)
    logger.setLevel(logging.DEBUG)
    try:
        yield statements
    finally:
        logger.removeFilter(note)
        logger.setLevel(level)


def check_unchanged(spec: str, before: Catalog, after: Catalog) -> None:
    """Raise ConfigurationError if the schema is not what it was before the import: then nothing is left to compare."""
    changed = after.changed_since(before)
    gone = [*(before.tables.keys() - after.tables.keys()), *(before.others.keys() - after.others.keys())]
    names = sorted({*changed.tables, *changed.others, *gone})
    if names:
        raise ConfigurationError(
            f"importing {spec} changed the database ({', '.join(names)}), so nothing is left to compare; take "
            "create_tables() or what else makes tables out of the import, and undo what it did"
        )


def _models_in(module: ModuleType) -> Models:
    own = (module.__name__, module.__name__ + ".")
    found = {
        value: None
        for value in vars(module).values()
        if _is_model(value) and (value.__module__ == own[0] or value.__module__.startswith(own[1]))
    }
    if not found:
        raise ConfigurationError(f"{module.__name__}: defines no models; name them with {module.__name__}:NAME")
    through = {field.through_model: None for model in found for field in model._meta.manytomany.values()}
    bases = [model for model in found if _is_empty(model) or _derived(model, found)]
    sure = dict.fromkeys([*(model for model in found if model not in bases), *through])
    return Models(tuple(sure), tuple(base for base in bases if base not in sure))


def _is_empty(model: type[peewee.Model]) -> bool:
    """Tell whether a model has no field of its own, and no index."""
    fields = model._meta.sorted_fields
    return len(fields) == 1 and type(fields[0]) is peewee.AutoField and not model._meta.indexes


def _derived(model: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> list[type[peewee.Model]]:
    return [other for other in models if other is not model and issubclass(other, model)]


def _is_used(base: type[peewee.Model], models: Iterable[type[peewee.Model]], tables: Collection[str]) -> bool:
    if _has_handed_on(base, models):
        return False
    return _table(base) in tables or any(base in model._meta.refs.values() for model in models)


def _has_handed_on(base: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> bool:
    """Tell whether a model that derives from the base has its table."""
    return any(_table(model) == _table(base) for model in _derived(base, models))


def _left_out(base: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> list[str]:
    derived = [model.__name__ for model in base.__subclasses__()]
    if _has_handed_on(base, models) or (_is_empty(base) and derived):
        return []  # nearly every application has one of the latter, for its database
    why = f"{', '.join(derived)} derives from it" if derived else "it has no field of its own"
    line = f"{base.__name__} is left out: {why}, and the database has no table {base._meta.table_name}"
    return [f"{line}; if it is to have one, name it with the others, as MODULE:NAME of a list of models"]


def _table(model: type[peewee.Model]) -> str:
    return str(model._meta.table_name).lower()


def _is_model(value: Any) -> TypeGuard[type[peewee.Model]]:
    return isinstance(value, type) and issubclass(value, peewee.Model)
