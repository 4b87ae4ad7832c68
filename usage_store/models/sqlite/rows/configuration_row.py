"""Read and reset the row of the active configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.models.fields.allowed_values import CONFIG_RULES
from usage_store.models.sqlite.rows.peewee_queries import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import peewee

_TEXTS = tuple(name for name, rule in CONFIG_RULES.items() if isinstance(rule.default, str))
_ACTIVE = (
    "SELECT id, plan, custom_limit_tokens, view, timezone, time_format, theme, refresh_rate, refresh_per_second, "
    "reset_hour, created_at, updated_at FROM usage_config WHERE is_active = 1"
)
# This is one statement, so that no other connection can write between the search for the row and the change.
_RESET = f"""
INSERT INTO usage_config (id, is_active, {", ".join(CONFIG_RULES)})
VALUES (coalesce((SELECT id FROM usage_config WHERE is_active = 1), (SELECT max(id) FROM usage_config)), 1
{", ?" * len(CONFIG_RULES)})
ON CONFLICT DO UPDATE SET is_active = 1, {", ".join(f"{name} = excluded.{name}" for name in CONFIG_RULES)}
"""  # noqa: S608


def active_configuration(database: peewee.SqliteDatabase) -> dict[str, Any] | None:
    """Return the columns of the active configuration without `is_active`, or None if none is active. Reads only.

    The values are not checked. A text that is not UTF-8 is returned as a NotUtf8.
    """
    # A dict that is written out is made in a third of the time that dict(zip()) takes.
    for row_id, plan, limit, view, zone, clock, theme, rate, second, hour, made, changed in fetch(database, _ACTIVE):
        values = {
            "id": row_id,
            "plan": plan,
            "custom_limit_tokens": limit,
            "view": view,
            "timezone": zone,
            "time_format": clock,
            "theme": theme,
            "refresh_rate": rate,
            "refresh_per_second": second,
            "reset_hour": hour,
            "created_at": made,
            "updated_at": changed,
        }
        if isinstance(values["plan"], bytes):  # where the host's connection has `text_factory = bytes`
            values |= {name: values[name].decode(errors="surrogateescape") for name in _TEXTS}
        return values
    return None


def reset_configuration(database: peewee.SqliteDatabase, defaults: Sequence[Any]) -> None:
    """Set the fields of the active configuration to `defaults`, which are in the order of the configuration rules.

    If none is active, the newest configuration is reset and becomes active. If there is none, one is created.
    """
    database.execute_sql(_RESET, defaults)
