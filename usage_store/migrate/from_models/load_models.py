"""Import a module of Peewee models, and find out which of its models have tables and which are only base classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import peewee

from usage_store.engines import place_of
from usage_store.errors import ConfigurationError
from usage_store.migrate.files.import_by_name import import_module

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import ModuleType
    from typing import TypeGuard

    from usage_store.engines.interface.schema_differences import Catalog


class Models(NamedTuple):
    """The models of a module: `sure` have tables; `bases` may have tables or be only base classes."""

    sure: tuple[type[peewee.Model], ...]
    bases: tuple[type[peewee.Model], ...] = ()

    def bound_to(self, place: str) -> tuple[Models, list[str]]:
        """Return the models without those of other databases, and one line for each that was left out. Opens nothing.

        `place` is the absolute path of a file, or the URL of a database as messages show it. If no model is bound to
        it, no model is left out.
        """
        homes = {model: _place(model) for model in (*self.sure, *self.bases)}
        if place not in homes.values():
            return self, []
        away = [model for model, home in homes.items() if home not in ("", place)]
        here = (tuple(model for model in models if model not in away) for models in self)
        return Models(*here), [f"{model.__name__} is left out: it is bound to {homes[model]}" for model in away]

    def in_use(self, tables: Collection[str]) -> tuple[list[type[peewee.Model]], list[str]]:
        """Return the models that have tables, and one line for each model that was left out and may have a table.

        A base is included if its table is in `tables` (lower case), or if an included model refers to it. Raises
        ConfigurationError if no model is included.
        """
        models, left = list(self.sure), list(self.bases)
        while used := [base for base in left if _is_used(base, models, tables)]:
            models += used
            left = [base for base in left if base not in used]
        if not models:
            names = ", ".join(base.__name__ for base in left)
            raise ConfigurationError(
                f"{names}: no table in the database, and no field or only used as a base class; to create a table, "
                "name a list that contains the model, as MODULE:NAME"
            )
        return models, [line for base in left for line in _left_out(base, models)]


def load_models(spec: str) -> Models:
    """Import `package.models` or `package.models:NAME`, and return its models.

    Modules of the current folder can be imported too. A module without NAME stands for the models that it or its
    submodules define, and for the through models of their many-to-many fields. In a module, a model that other models
    derive from, or that has no field of its own, may be only a base class. NAME is a model or an iterable of models,
    and all of these are taken. Raises ConfigurationError if the import fails or connects a database that is not in
    memory, and if there is no model.
    """
    name, _, attribute = spec.partition(":")
    if not name:
        raise ConfigurationError(f"{spec!r}: not a module of models; allowed: package.models or package.models:NAME")
    module = import_module(name, may_connect=False)
    if not attribute:
        return _models_in(module)
    found = getattr(module, attribute, None)
    # A model class is iterable too, and iterating over it would read its rows.
    listed = list(found) if isinstance(found, Iterable) and not _is_model(found) else [found]
    models = tuple(model for model in listed if _is_model(model))
    if not models or len(models) < len(listed):
        raise ConfigurationError(f"{spec}: not a model or a list of models")
    return Models(models)


def check_unchanged(spec: str, before: Catalog, after: Catalog) -> None:
    """Raise ConfigurationError if the import changed the schema, because then a comparison finds no difference."""
    changed = after.changed_since(before)
    gone = [*(before.tables.keys() - after.tables.keys()), *(before.others.keys() - after.others.keys())]
    names = sorted({*changed.tables, *changed.others, *gone})
    if names:
        raise ConfigurationError(
            f"importing {spec} changed the database ({', '.join(names)}), so there is no difference to compare; do not "
            "call create_tables() or other code that creates tables during the import, and undo its changes"
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
    """Return whether a model has no field of its own and no index."""
    fields = model._meta.sorted_fields
    return len(fields) == 1 and type(fields[0]) is peewee.AutoField and not model._meta.indexes


def _derived(model: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> list[type[peewee.Model]]:
    return [other for other in models if other is not model and issubclass(other, model)]


def _is_used(base: type[peewee.Model], models: Iterable[type[peewee.Model]], tables: Collection[str]) -> bool:
    if _has_handed_on(base, models):
        return False
    return _table(base) in tables or any(base in model._meta.refs.values() for model in models)


def _has_handed_on(base: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> bool:
    """Return whether a model that derives from the base uses the same table."""
    return any(_table(model) == _table(base) for model in _derived(base, models))


def _left_out(base: type[peewee.Model], models: Iterable[type[peewee.Model]]) -> list[str]:
    derived = [model.__name__ for model in base.__subclasses__()]
    if _has_handed_on(base, models) or (_is_empty(base) and derived):
        return []  # most applications have an empty base model that only sets the database: no line for that
    why = (
        f"{', '.join(derived)} {'derive' if derived[1:] else 'derives'} from it"
        if derived
        else "it has no field of its own"
    )
    line = f"{base.__name__} is left out: {why}, and the database has no table {base._meta.table_name}"
    return [f"{line}; to create one, name a list that contains this model and the others, as MODULE:NAME"]


def _table(model: type[peewee.Model]) -> str:
    return str(model._meta.table_name).lower()


def _place(model: type[peewee.Model]) -> str:
    """Return the file or URL of the database to which a model is bound; it is empty if there is none, or none yet."""
    database: Any = model._meta.database
    try:
        return place_of(database) if database is not None else ""
    except ConfigurationError:  # deferred, or a proxy without a database
        return ""


def _is_model(value: Any) -> TypeGuard[type[peewee.Model]]:
    return isinstance(value, type) and issubclass(value, peewee.Model)
