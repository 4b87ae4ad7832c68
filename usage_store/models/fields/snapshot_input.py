"""Check the input of a caller, and convert it to the columns of a snapshot: JSON text and the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from usage_store.errors import InvalidValue, RejectedInput, UnknownField
from usage_store.models.fields import allowed_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

FIELDS = ("session_id", "snapshot_data", "snapshot_type", "timestamp")
_KNOWN = frozenset(FIELDS)
_DEPTH = 500  # nested lists and objects; Python 3.11 can read some 990, SQLite 1000 or 2000
_DIGITS = 4300  # the most digits of an int that Python reads by default: sys.get_int_max_str_digits()
_BATCH_ROWS, _BATCH_CHARACTERS = 500, 8 * 2**20
A = TypeVar("A")
R = TypeVar("R")
Row = tuple[str, str, str, str, int]  # session_id, snapshot_data, snapshot_data, snapshot_type, timestamp


def encode(value: Any) -> str:
    """Return the text to store. A text is returned unchanged; anything else is serialised as JSON without spaces.

    Raises InvalidValue for NaN and infinities, lone surrogates, objects that json cannot serialise, and nesting that is
    too deep for Python. Whether a text is JSON is checked later, by the database.
    """
    try:
        text = value if isinstance(value, str) else _compact(value)
        if not text.isascii():
            text.encode()
        if _beyond_sqlite(text):
            prove(text)
    except RecursionError:
        raise _too_deep(value) from None
    except (TypeError, ValueError) as error:
        raise _not_json(value, error) from None
    return text


def prove(text: str) -> None:
    """Raise InvalidValue unless a text is JSON that Python can read.

    SQLite's json_valid() checks a text in an eighth of the time. Call this for a text that json_valid() has refused:
    the error says why.
    """
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep(text) from None
    except ValueError as error:
        raise _not_json(text, error) from None


def decode(text: str) -> Any:
    """Return the value of a stored JSON text. Raises InvalidValue if another program stored a text that is not JSON."""
    try:
        return json.loads(text)
    except (RecursionError, TypeError, ValueError) as error:
        raise InvalidValue("snapshot_data", text, f"JSON text ({error})") from None


def _beyond_sqlite(text: str) -> bool:
    """Return whether json_valid() and Python might disagree on whether a text is JSON."""
    return (
        "\0" in text  # SQLite's functions stop reading at NUL
        or may_be_deep(text)
        or any(map(str.isdigit, text[_DIGITS - 1 :: _DIGITS]))  # one of these is in any longer run of digits
    )


def may_be_deep(text: str) -> bool:
    """Return whether a text may be nested so deeply that a database or Python cannot read it."""
    return len(text) > 2 * _DEPTH and text.count("[") + text.count("{") > _DEPTH  # each must be closed as well


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _too_deep(value: Any) -> InvalidValue:
    return InvalidValue("snapshot_data", value, "JSON that is not nested this deeply")


def _not_json(value: Any, error: Exception) -> InvalidValue:
    return InvalidValue("snapshot_data", value, f"JSON text or what json can serialise ({error})")


def row(session_id: Any, data: Any, kind: Any, timestamp: Any, *, ahead: bool = False) -> Row:
    """Return the columns of one snapshot. Raises InvalidValue. `ahead` allows a timestamp in the future."""
    session, text = allowed_values.checked_session_id(session_id), encode(data)
    kind = allowed_values.checked_snapshot_type(kind)
    return session, text, text, kind, allowed_values.checked_timestamp(timestamp, ahead=ahead)


def mapped_row(snapshot: Mapping[str, Any], *, ahead: bool = False) -> Row:
    """Return the columns of a snapshot that is a mapping of fields to values. Raises InvalidValue, UnknownField."""
    try:
        given = dict(snapshot)
    except (TypeError, ValueError):
        raise InvalidValue("snapshot", snapshot, "a mapping of field to value") from None
    if not _KNOWN.issuperset(given):
        raise UnknownField(next(field for field in given if field not in FIELDS), FIELDS)
    for field in FIELDS[:2]:
        if field not in given:
            raise InvalidValue(field, None, "a value: it has no default")
    kind, timestamp = given.get("snapshot_type", "stats"), given.get("timestamp")
    return row(given["session_id"], given["snapshot_data"], kind, timestamp, ahead=ahead)


def numbered(number: int, function: Callable[[A], R], argument: A) -> R:
    """Call a function for one of many snapshots. If it raises RejectedInput, the message starts with `number`."""
    try:
        return function(argument)
    except RejectedInput as error:
        error.args = (f"snapshot {number}: {error}",)
        raise


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in lists. Only one list is in memory at a time, and each is inserted by one call."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row[1])
        if len(batch) == _BATCH_ROWS or size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
