"""What a snapshot carries: JSON text, checked and compact."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from usage_store.errors import InvalidValue

__all__ = ["decode", "encode"]


def encode(value: Any) -> str:
    """Give the JSON text to store: a text as it was given, once it proves to be JSON; anything else made compact.

    Raises InvalidValue for what is not JSON: NaN and infinities, lone surrogates, objects that json cannot
    serialise, or nesting that Python cannot follow.
    """
    try:
        if isinstance(value, str):
            text = value
            json.loads(text, parse_constant=_refuse_constant)
        else:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except RecursionError:
        raise InvalidValue("snapshot_data", value, "JSON that is not nested this deeply") from None
    except (TypeError, ValueError) as error:
        raise InvalidValue("snapshot_data", value, f"JSON text or what json can serialise ({error})") from None
    return text


def decode(text: str) -> Any:
    """Give the value of a stored JSON text, or raise InvalidValue if a foreign writer stored something else."""
    try:
        return json.loads(text)
    except (RecursionError, TypeError, ValueError) as error:
        raise InvalidValue("snapshot_data", text, f"JSON text ({error})") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
