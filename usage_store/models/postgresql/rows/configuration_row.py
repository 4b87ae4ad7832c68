"""Read and reset the row of the active configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.models.fields.allowed_values import CONFIG_RULES
from usage_store.models.postgresql.rows.fetch_rows import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

_COLUMNS = ("id", *CONFIG_RULES, "created_at", "updated_at")
_ACTIVE = f"SELECT {', '.join(_COLUMNS)} FROM usage_config WHERE is_active = 1"  # noqa: S608
_FIELDS = ", ".join(CONFIG_RULES)
# One statement: it resets the active configuration, or else the newest, or else inserts one.
_RESET = f"""
WITH given ({_FIELDS}) AS (SELECT %s::text, %s::bigint, %s::text, %s::text, %s::text, %s::text, %s::integer,
  %s::double precision, %s::integer),
changed AS (
  UPDATE usage_config AS c SET is_active = 1, {", ".join(f"{name} = given.{name}" for name in CONFIG_RULES)} FROM given
  WHERE c.id = (SELECT id FROM usage_config ORDER BY is_active DESC, id DESC LIMIT 1) RETURNING 1)
INSERT INTO usage_config (is_active, {_FIELDS}) SELECT 1, {_FIELDS} FROM given WHERE NOT EXISTS (SELECT 1 FROM changed)
ON CONFLICT (is_active) WHERE is_active = 1 DO UPDATE SET {", ".join(f"{n} = excluded.{n}" for n in CONFIG_RULES)}
"""  # noqa: S608


def active_configuration(database: peewee.PostgresqlDatabase) -> dict[str, Any] | None:
    """Return the columns of the active configuration without `is_active`, or None if none is active. Reads only.

    The values are not checked.
    """
    for row in fetch(database, _ACTIVE):
        return dict(zip(_COLUMNS, row, strict=True))
    return None


def reset_configuration(database: peewee.PostgresqlDatabase, defaults: Sequence[Any]) -> None:
    """Set the fields of the active configuration to `defaults`, which are in the order of the configuration rules.

    If none is active, the newest configuration is reset and becomes active. If there is none, one is created.
    """
    database.execute_sql(_RESET, defaults)
