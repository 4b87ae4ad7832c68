"""What a schema uses and a connection lacks: functions, collations and modules that an application brings along."""

from __future__ import annotations

import re

HINT = "use a database object on which the application registers it"

# "no query solution" is what SQLite says where a key's collation is missing. A function that was registered without
# `deterministic` may stand in no index, and one that is `directonly` in no schema.
_LACKS = (
    r"no such (collation sequence|function|module|tokenizer)\b|unknown (function|tokenizer):|no query solution"
    r"|non-deterministic functions? prohibited|unsafe use of "
)


def is_lacking(error: object) -> bool:
    """Tell whether an error says that the connection lacks what the schema uses, which is no damage."""
    return re.search(_LACKS, str(error)) is not None
