"""Recognise errors of a connection that lacks functions, collations or modules which an application registers."""

from __future__ import annotations

import re

HINT = "use the application's own database object, which registers what is missing"

# SQLite says "no query solution" where the collation of a key is missing. An index may not use a function that was
# registered without `deterministic`, and a schema may not use one that is `directonly`.
_LACKS = (
    r"no such (collation sequence|function|module|tokenizer)\b|unknown (function|tokenizer):|no query solution"
    r"|non-deterministic functions? prohibited|unsafe use of "
)


def is_lacking(error: object) -> bool:
    """Return whether an error means that the connection lacks something the schema uses.

    This is no damage of the file.
    """
    return re.search(_LACKS, str(error)) is not None
