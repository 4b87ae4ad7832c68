"""The values that the fields allow. They are checked here before an insert, and again by the database's CHECKs."""

from __future__ import annotations

import math
import time
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from usage_store.errors import InvalidValue, UnknownField

if TYPE_CHECKING:
    from collections.abc import Callable

PLANS = ("pro", "max5", "max20", "custom")
VIEWS = ("realtime", "daily", "monthly", "session")
TIME_FORMATS = ("12h", "24h", "auto")
THEMES = ("light", "dark", "classic", "auto")
SNAPSHOT_TYPES = ("stats", "config", "session")

MAX_INTEGER = 2**63 - 1
MAX_SECONDS = 10**11  # a number from this one up is milliseconds: as seconds, it would be a date after the year 5138
_CENTURY_HOURS = 876_600
_AHEAD = 86_400  # seconds
_LONGEST_WAIT = 10**6  # seconds: SQLite's busy_timeout holds no more milliseconds


@dataclass(frozen=True, slots=True)
class Rule:
    """The default of a configuration field, a description of the allowed values, and a function that checks one."""

    default: Any
    allowed: str
    accepts: Callable[[Any], bool]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _one_of(default: str, choices: tuple[str, ...]) -> Rule:
    return Rule(default, ", ".join(choices), lambda value: isinstance(value, str) and value in choices)


def _is_timezone(value: object) -> bool:
    if value in ("auto", "UTC"):  # without time zone data, which Windows and slim images do not have
        return True
    try:
        zoneinfo.ZoneInfo(value)  # type: ignore[arg-type]
    except (OSError, TypeError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return False  # OSError: "Europe" is a folder of the time zone database
    return isinstance(value, str)


CONFIG_RULES: Mapping[str, Rule] = {
    "plan": _one_of("custom", PLANS),
    "custom_limit_tokens": Rule(
        None, f"None, an int from 1 to {MAX_INTEGER}", lambda v: v is None or (_is_int(v) and 0 < v <= MAX_INTEGER)
    ),
    "view": _one_of("realtime", VIEWS),
    "timezone": Rule(
        "auto",
        "auto, UTC, or an IANA name such as Europe/Berlin that this machine knows (`pip install tzdata` adds them)",
        _is_timezone,
    ),
    "time_format": _one_of("auto", TIME_FORMATS),
    "theme": _one_of("auto", THEMES),
    "refresh_rate": Rule(10, "an int from 1 to 60", lambda v: _is_int(v) and 1 <= v <= 60),  # noqa: PLR2004
    "refresh_per_second": Rule(0.75, "a number from 0.1 to 20.0", lambda v: _is_number(v) and 0.1 <= v <= 20.0),  # noqa: PLR2004
    "reset_hour": Rule(None, "None, an int from 0 to 23", lambda v: v is None or (_is_int(v) and 0 <= v <= 23)),  # noqa: PLR2004
}


def checked_changes(updates: object) -> dict[str, Any]:
    """Return configuration changes as a dict. Raises UnknownField or InvalidValue for the first wrong change."""
    if not isinstance(updates, Mapping):
        raise InvalidValue("updates", updates, "a mapping of field to value")
    changes = dict(updates)
    for field, value in changes.items():
        rule = CONFIG_RULES.get(field)
        if rule is None:
            raise UnknownField(field, tuple(CONFIG_RULES))
        if not rule.accepts(value):
            raise InvalidValue(field, value, rule.allowed)
    return changes


def checked_session_id(value: object) -> str:
    """Return a session id unchanged. Raises InvalidValue if it is not a text, is empty or cannot be stored."""
    if isinstance(value, str) and value and "\0" not in value:
        try:
            value.encode()
        except UnicodeEncodeError:
            pass  # a lone surrogate
        else:
            return value
    raise InvalidValue("session_id", value, "a text of at least one character, without NUL")


def checked_stored_id(value: object) -> str:
    """Return the id of an existing session unchanged. Raises InvalidValue.

    Other programs may have stored an id that is not UTF-8. Then the id is written as in the lists of this package, and
    as `os.fsdecode` returns it.
    """
    try:
        if isinstance(value, str) and value.encode(errors="surrogateescape") != value.encode(errors="ignore"):
            return value
    except UnicodeEncodeError:
        pass  # a surrogate that does not represent a byte
    return checked_session_id(value)


def checked_snapshot_type(value: object) -> str:
    """Return a snapshot type unchanged. Raises InvalidValue for an unknown type."""
    if not isinstance(value, str) or value not in SNAPSHOT_TYPES:
        raise InvalidValue("snapshot_type", value, ", ".join(SNAPSHOT_TYPES))
    return value


def checked_timestamp(value: object, *, ahead: bool = False) -> int:
    """Return seconds (UTC) for an aware datetime, seconds or milliseconds. None means the current time.

    A number from 10**11 up is milliseconds. Fractions are cut off. Raises InvalidValue, also for a time more than a day
    ahead of the clock, unless `ahead` allows it: with one such snapshot, all other snapshots would look old.
    """
    now = int(time.time())
    if value is None:
        return now
    if type(value) is int and 0 <= value <= now + _AHEAD:
        return value  # the most frequent case
    moment = isinstance(value, datetime) and value.tzinfo is not None
    number: Any = value.timestamp() if moment else value  # type: ignore[attr-defined]
    if _is_number(number):
        seconds: int = math.floor(number // 1000 if number >= MAX_SECONDS and not moment else number)
        if not ahead and now + _AHEAD < seconds < MAX_SECONDS:
            says = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
            raise InvalidValue("timestamp", value, f"at most a day ahead of this machine's clock, which says {says}")
        if 0 <= seconds < MAX_SECONDS:
            return seconds
    raise InvalidValue("timestamp", value, "an aware datetime, or seconds or milliseconds since 1970")


def checked_count(field: str, value: object) -> int:
    """Return a positive int unchanged. Raises InvalidValue for anything else."""
    if not _is_int(value) or not 1 <= value <= MAX_INTEGER:  # type: ignore[operator]
        raise InvalidValue(field, value, f"an int from 1 to {MAX_INTEGER}")
    return value  # type: ignore[return-value]


def checked_wait(field: str, value: object) -> float:
    """Return a number of seconds to wait for a lock unchanged. Raises InvalidValue."""
    if not _is_number(value) or not 0 <= value <= _LONGEST_WAIT:  # type: ignore[operator]
        raise InvalidValue(field, value, f"a number of seconds from 0 to {_LONGEST_WAIT}")
    return value  # type: ignore[return-value]


def checked_span(field: str, value: object, unit_seconds: int, *, zero: bool = False) -> float:
    """Return a time span in seconds. `value` is in units of `unit_seconds`.

    Raises InvalidValue for a span above a century, for a negative one, and for 0 unless `zero` allows it.
    """
    most = _CENTURY_HOURS * 3600 // unit_seconds
    if not _is_number(value) or not (0 < value <= most or (zero and value == 0)):  # type: ignore[operator]
        raise InvalidValue(field, value, f"a number {'from 0 up' if zero else 'above 0'}, at most {most}")
    return value * unit_seconds  # type: ignore[operator]
