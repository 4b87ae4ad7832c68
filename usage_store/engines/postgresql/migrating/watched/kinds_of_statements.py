"""Tell from the text of a statement what it may do. What it did is asked of the server.

The text decides two things only: the words of a message, and whether the server must be asked before the statement
runs. In doubt it is asked.
"""

from __future__ import annotations

import re

_I = re.IGNORECASE
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_ENDS = re.compile(r"\s*(COMMIT|END|ABORT|ROLLBACK|PREPARE\s+TRANSACTION)\b(?!.*\bTO\b)", _I | re.DOTALL)
_BEGINS = re.compile(r"\s*(BEGIN|START\s+TRANSACTION)\b", _I)
_SETS = re.compile(r"\s*(SET\s+(?!LOCAL\b|CONSTRAINTS\b|TRANSACTION\b)|RESET\b|DISCARD\b|UNLISTEN\s+\*)", _I)
_MAY_SET = re.compile(r"\bSET\b|\bset_config\b", _I)
_SAVEPOINT = re.compile(
    r'\s*(SAVEPOINT|RELEASE|ROLLBACK)\b(?:.*\bTO\b)?(?:\s+SAVEPOINT)?\s+"?([^\s";]+)', _I | re.DOTALL
)
_ADDS = re.compile(r"\s*(CREATE\s+(TABLE|(UNIQUE\s+)?INDEX|SEQUENCE|TYPE|DOMAIN)|INSERT\s+INTO|COMMENT\s+ON)\b", _I)
_CREATES_TABLE = re.compile(r'\s*CREATE\s+TABLE\s+(?!IF\b)((?:"[^"]+"|[\w.$])+)', _I)
_RUNS_OTHERS = re.compile(r"\b(SELECT|WITH|EXECUTE|CALL|PARTITION|INHERITS)\b|;\s*\S", _I)
_MAY_LOSE = re.compile(r"\b(DROP|TRUNCATE)\b", _I)
_QUESTION_MARK = re.compile(r"[(,=<>]\s*\?\s*(?:[,);]|$)", re.MULTILINE)
_LONE_PERCENT = re.compile(r"(?<!%)(?:%%)*%(?![%s(])")


def without_comments(sql: str) -> str:
    """Return the text without its comments."""
    return _COMMENTS.sub(" ", sql)


def ends_transaction(sql: str) -> str | None:
    """Return the word with which a statement ends the transaction, or None."""
    found = _ENDS.match(sql)
    return None if found is None else " ".join(found[1].upper().split())


def begins_transaction(sql: str) -> str | None:
    """Return the words with which a statement begins a transaction, or None."""
    found = _BEGINS.match(sql)
    return None if found is None else " ".join(found[1].upper().split())


def sets_for_the_session(sql: str) -> bool:
    """Return whether a statement sets something that outlives its transaction."""
    return _SETS.match(sql) is not None


def may_set(sql: str) -> bool:
    """Return whether a text may set a setting."""
    return _MAY_SET.search(sql) is not None


def sets_locally(sql: str, setting: str) -> bool:
    """Return whether a text sets a setting for its transaction only."""
    name = re.escape(setting)
    return (
        re.search(rf"\bSET\s+LOCAL\s+{name}\b|\bset_config\s*\(\s*'{name}'.*\btrue\b", sql, _I | re.DOTALL) is not None
    )


def savepoint(sql: str) -> tuple[str, str] | None:
    """Return SAVEPOINT, RELEASE or ROLLBACK with the name of the savepoint, or None."""
    found = _SAVEPOINT.match(sql)
    return None if found is None or found[2] == "TO" else (found[1].upper(), found[2])


def creates_table(sql: str) -> str | None:
    """Return the table that a statement has certainly created, if it did not fail, or None."""
    found = _CREATES_TABLE.match(sql)
    return None if found is None else _name(found[1])


def only_creates(sql: str) -> bool:
    """Return whether a statement certainly leaves alone the objects and rows that exist."""
    return savepoint(sql) is not None or (only_adds(sql) and not names(sql, "INSERT"))


def only_adds(sql: str) -> bool:
    """Return whether a statement certainly leaves alone the objects that exist, and adds objects or rows."""
    return _ADDS.match(sql) is not None and _RUNS_OTHERS.search(sql) is None


def may_lose(sql: str) -> bool:
    """Return whether a text has a word of statements after which nobody can count what was there."""
    return _MAY_LOSE.search(sql) is not None


def names(sql: str, name: str) -> bool:
    """Return whether a name stands in a text."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, _I) is not None


def words(sql: str) -> set[str]:
    """Return all words of a text that may be names of the server: as they are, in lower case, and what is in quotes."""
    found = set(re.findall(r"[\w$]+", sql))
    quoted = {name.replace('""', '"').replace("%%", "%") for name in re.findall(r'"((?:[^"]|"")+)"', sql)}
    return found | {word.lower() for word in found} | quoted


def has_lone_percent(sql: str) -> bool:
    """Return whether a text has a `%` that the drivers take for a placeholder."""
    return _LONE_PERCENT.search(sql) is not None


def has_question_mark(sql: str) -> bool:
    """Return whether a text has a `?` where SQLite takes a parameter, and no place for one that the drivers know."""
    return "%" not in sql and _QUESTION_MARK.search(sql) is not None


_TARGETS = re.compile(
    r"\b(DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(?:\s+TABLE)?|DROP\s+(?:FOREIGN\s+)?TABLE(?:\s+IF\s+EXISTS)?)\s+(?:ONLY\s+)?"
    r'((?:"[^"]+"|[\w.$])+(?:\s*,\s*(?:ONLY\s+)?(?:"[^"]+"|[\w.$])+)*)',
    _I,
)
_COLUMN = re.compile(
    r'\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?((?:"[^"]+"|[\w.$])+)|'
    r'\bDROP\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?(?!CONSTRAINT\b|NOT\b|DEFAULT\b|IDENTITY\b|EXPRESSION\b)("[^"]+"|[\w$]+)',
    _I,
)


def may_lose_rows_of(sql: str) -> list[tuple[str, str]]:
    """Return DELETE, TRUNCATE or DROP TABLE with the name of each table that a text has after these words.

    A MERGE with the word DELETE counts as a DELETE.
    """
    found = []
    for said, targets in _TARGETS.findall(sql):
        word = said.split()[0].upper()
        if word != "MERGE" or names(sql, "DELETE"):
            what = {"DROP": "DROP TABLE", "MERGE": "DELETE"}.get(word, word)
            found += [(what, _name(each)) for each in targets.split(",")]
    return found


def drops_columns(sql: str) -> list[str]:
    """Return the columns, as table.column, that ALTER TABLE statements of a text drop."""
    found, table = [], ""
    for altered, column in _COLUMN.findall(sql):
        if altered:
            table = _name(altered)
        elif table:
            found.append(f"{table}.{_name(column)}")
    return found


def is_concurrent(sql: str) -> bool:
    """Return whether a statement waits for other transactions while nobody has to wait for it."""
    return names(sql, "CONCURRENTLY")


def gives_up_locks(sql: str) -> bool:
    """Return whether a text has a function that gives up advisory locks."""
    return "advisory_unlock" in sql.lower()


def reads(sql: str) -> bool:
    """Return whether a statement begins as one that only reads."""
    return re.match(r"\s*(SELECT|SHOW|EXPLAIN|VALUES)\b", sql, _I) is not None


def _name(target: str) -> str:
    last = target.replace("ONLY ", "").strip().rsplit(".", 1)[-1]
    return last[1:-1] if last.startswith('"') else last.lower()
