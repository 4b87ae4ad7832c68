"""Migration files, and runners of them."""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.databases import opened, rows
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def python(up: str, down: str | None = None, *, atomic: bool = True) -> str:
    """A migration's source from the bodies of its functions."""
    parts = [] if atomic else ["atomic = False"]
    for name, body in (("up", up), ("down", down)):
        if body is not None:
            code = textwrap.indent(textwrap.dedent(body).strip("\n") or "pass", "    ")
            parts.append(f"def {name}(migrator, db):\n{code}")
    return "\n\n".join(parts) + "\n"


def sql(*up: str, down: Sequence[str] | None = (), atomic: bool = True) -> str:
    """A migration's source from SQL statements; `down=None` leaves `down` out."""

    def body(statements: Sequence[str]) -> str:
        return "\n".join(f"db.execute_sql({statement!r})" for statement in statements) or "pass"

    return python(body(up), None if down is None else body(down), atomic=atomic)


def table(name: str) -> str:
    """A migration that makes a table, and drops it on the way down."""
    return sql(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, title TEXT)", down=[f"DROP TABLE {name}"])


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write migrations, their names without `.py`, and give the directory."""
    directory.mkdir(exist_ok=True)
    for name, source in files.items():
        (directory / f"{name}.py").write_text(source, encoding="utf-8")
    return directory


@contextmanager
def runner_of(
    path: Path, directory: Path, table_name: str = "schema_migrations", **options: Any
) -> Iterator[MigrationRunner]:
    """Open a database and give a runner on it."""
    with opened(path) as database:
        yield MigrationRunner(database, directory, table_name, **options)


def history(path: Path, name: str = "schema_migrations") -> list[int]:
    """The applied versions."""
    return [version for (version,) in rows(path, f'SELECT version FROM "{name}" ORDER BY version')]
