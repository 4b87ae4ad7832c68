"""What a caller gives becomes what is stored: JSON text and the other columns, checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from usage_store.errors import InvalidValue, RejectedInput, UnknownField
from usage_store.models.fields import allowed_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

FIELDS = ("session_id", "snapshot_data", "snapshot_type", "timestamp")
_KNOWN = frozenset(FIELDS)
_DEPTH = 500  # nested lists and objects; Python 3.11 follows some 990, SQLite 1000 or 2000
_DIGITS = 4300  # of an int that Python reads by default: sys.get_int_max_str_digits()
_BATCH_ROWS, _BATCH_CHARACTERS = 500, 8 * 2**20
A = TypeVar("A")
R = TypeVar("R")
Row = tuple[str, str, str, str, int]  # session_id, snapshot_data, snapshot_data, snapshot_type, timestamp


def encode(value: Any) -> str:
    """Give the text to store: a text as it was given, which has yet to prove to be JSON; anything else made compact.

    Raises InvalidValue for what cannot be JSON: NaN and infinities, lone surrogates, objects that json cannot
    serialise, or nesting that Python cannot follow.
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
    """Raise InvalidValue unless a text is JSON that Python can follow.

    SQLite's json_valid() knows in an eighth of the time, so this is for what it refused: it says why.
    """
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep(text) from None
    except ValueError as error:
        raise _not_json(text, error) from None


def decode(text: str) -> Any:
    """Give the value of a stored JSON text, or raise InvalidValue if a foreign writer stored something else."""
    try:
        return json.loads(text)
    except (RecursionError, TypeError, ValueError) as error:
        raise InvalidValue("snapshot_data", text, f"JSON text ({error})") from None


def _beyond_sqlite(text: str) -> bool:
    """Tell whether a text might hold what json_valid() takes for JSON and Python cannot follow, or the other way."""
    return (
        "\0" in text  # where SQLite's functions stop reading
        or (len(text) > 2 * _DEPTH and text.count("[") + text.count("{") > _DEPTH)  # each must be closed as well
        or any(map(str.isdigit, text[_DIGITS - 1 :: _DIGITS]))  # a longer run of digits has one of these places
    )


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _too_deep(value: Any) -> InvalidValue:
    return InvalidValue("snapshot_data", value, "JSON that is not nested this deeply")


def _not_json(value: Any, error: Exception) -> InvalidValue:
    return InvalidValue("snapshot_data", value, f"JSON text or what json can serialise ({error})")


def row(session_id: Any, data: Any, kind: Any, timestamp: Any, *, ahead: bool = False) -> Row:
    """Give the columns of one snapshot, or raise InvalidValue; the timestamp may lie in the future if it is `ahead`."""
    session, text = allowed_values.checked_session_id(session_id), encode(data)
    kind = allowed_values.checked_snapshot_type(kind)
    return session, text, text, kind, allowed_values.checked_timestamp(timestamp, ahead=ahead)


def mapped_row(snapshot: Mapping[str, Any], *, ahead: bool = False) -> Row:
    """Give the columns of a snapshot that is a mapping of fields to values. Raises UnknownField besides."""
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
    """Call a function for one of many snapshots, and let what it raises of bad input begin with its number."""
    try:
        return function(argument)
    except RejectedInput as error:
        error.args = (f"snapshot {number}: {error}",)
        raise


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Deal rows out to lists that are sent at once, and so held in memory."""
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
