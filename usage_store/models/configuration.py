"""UsageConfig: the monitor's one active configuration."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from peewee import SQL, BigIntegerField, Check, DoubleField, IntegerField, TextField

from usage_store.errors import NoActiveConfiguration
from usage_store.models import one_line
from usage_store.models.base import UsageModel
from usage_store.models.fields import allowed_values
from usage_store.models.fields.column_types import EpochField, FlagField, RowIdField
from usage_store.models.fields.differs_by_engine import UsageSchema
from usage_store.models.storage_interface import storage_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

logger = logging.getLogger("usage_store")


@functools.lru_cache(maxsize=32)
def _warn_once(database: object, line: str) -> None:  # noqa: ARG001  once for each database
    logger.warning("%s", line)


def _choice(name: str, choices: tuple[str, ...]) -> TextField[str]:
    default = allowed_values.CONFIG_RULES[name].default
    listed = ", ".join(f"'{choice}'" for choice in choices)
    return TextField(default=default, constraints=[SQL(f"DEFAULT '{default}'"), Check(f"{name} IN ({listed})")])


class UsageConfig(UsageModel):
    """The configuration of the monitor; at most one row is active."""

    id = RowIdField()
    plan = _choice("plan", allowed_values.PLANS)
    custom_limit_tokens = BigIntegerField(
        null=True, constraints=[Check("custom_limit_tokens IS NULL OR custom_limit_tokens > 0")]
    )
    view = _choice("view", allowed_values.VIEWS)
    timezone = TextField(default="auto", constraints=[SQL("DEFAULT 'auto'")])
    time_format = _choice("time_format", allowed_values.TIME_FORMATS)
    theme = _choice("theme", allowed_values.THEMES)
    refresh_rate = IntegerField(
        default=10, constraints=[SQL("DEFAULT 10"), Check("refresh_rate >= 1 AND refresh_rate <= 60")]
    )
    refresh_per_second = DoubleField(
        default=0.75,
        constraints=[SQL("DEFAULT 0.75"), Check("refresh_per_second >= 0.1 AND refresh_per_second <= 20.0")],
    )
    reset_hour = IntegerField(
        null=True, constraints=[Check("reset_hour IS NULL OR (reset_hour >= 0 AND reset_hour <= 23)")]
    )
    created_at = EpochField()
    updated_at = EpochField()
    is_active = FlagField(default=True, constraints=[SQL("DEFAULT 1"), Check("is_active IN (0, 1)")])

    class Meta:
        table_name = "usage_config"
        schema_manager_class = UsageSchema
        sqlite_options = "STRICT"

    def __repr__(self) -> str:
        data = self.__data__
        active = ", active" if data.get("is_active") is True else ""
        shown = [f"{name} {one_line.value(data[name])}" for name in allowed_values.CONFIG_RULES if name in data]
        return f"<{type(self).__name__} {one_line.key(data.get('id'))}{active}: {', '.join(shown)}>"

    @property
    def created_at_utc(self) -> datetime | None:
        """`created_at` as an aware datetime in UTC, or None if it is None.

        Raises InvalidValue for a number outside the years 1 to 9999, which another program may have written.
        """
        return self._utc("created_at")

    @property
    def updated_at_utc(self) -> datetime | None:
        """`updated_at` in the same way."""
        return self._utc("updated_at")

    @classmethod
    def active(cls) -> UsageConfig | None:
        """Return the active configuration, or None. Reads only.

        If another program has stored a value that is not allowed, the field has its default instead. One warning names
        all such fields. The same warning is logged only once by a process.
        """
        database = cls._db()
        values = storage_of(database).active_configuration(database)
        if values is None:
            return None
        broken = [
            name
            for name, rule in allowed_values.CONFIG_RULES.items()
            if values[name] != rule.default and not rule.accepts(values[name])
        ]
        if broken:
            shown = ", ".join(f"{name} {values[name]!r}" for name in broken)
            line = f"usage_config {values['id']}: {shown} is not allowed; the default is used"
            _warn_once(database.database, line)
            values |= {name: allowed_values.CONFIG_RULES[name].default for name in broken}
        values["is_active"] = True
        return cls._stored(values)

    @classmethod
    def update_active(cls, updates: Mapping[str, Any]) -> bool:
        """Change the named fields of the active configuration, and no others. Returns False if `updates` is empty.

        Raises UnknownField, InvalidValue or NoActiveConfiguration. Then nothing is changed.
        """
        changes = allowed_values.checked_changes(updates)
        if changes:
            cls._write(changes)
        return bool(changes)

    @classmethod
    def reset_active(cls) -> None:
        """Set every field of the active configuration to its default. `id` and `created_at` stay.

        If no configuration is active, the newest one is reset and becomes active. If there is none, one is created.
        """
        database, rules = cls._db(), allowed_values.CONFIG_RULES.values()
        storage_of(database).reset_configuration(database, [rule.default for rule in rules])

    @classmethod
    def _write(cls, changes: Mapping[str, Any]) -> None:
        cls._db()
        if not cls.update(changes).where(SQL("is_active = 1")).execute():
            raise NoActiveConfiguration


UsageConfig.add_index(
    UsageConfig.index(UsageConfig.is_active, unique=True, where=SQL("is_active = 1"), name="idx_usage_config_active")
)
