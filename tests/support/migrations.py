"""Write migration files, and make runners for them."""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.databases import opened, rows
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.support.databases import Target


def python(up: str, down: str | None = None, *, atomic: bool = True) -> str:
    """Give a migration's source from the bodies of its functions."""
    parts = [] if atomic else ["atomic = False"]
    for name, body in (("up", up), ("down", down)):
        if body is not None:
            code = textwrap.indent(textwrap.dedent(body).strip("\n") or "pass", "    ")
            parts.append(f"def {name}(migrator, db):\n{code}")
    return "\n\n".join(parts) + "\n"


def sql(*up: str, down: Sequence[str] | None = (), atomic: bool = True) -> str:
    """Give a migration's source from SQL statements; `down=None` leaves out `down`."""

    def body(statements: Sequence[str]) -> str:
        return "\n".join(f"db.execute_sql({statement!r})" for statement in statements) or "pass"

    return python(body(up), None if down is None else body(down), atomic=atomic)


def table(name: str) -> str:
    """Give a migration that makes a table in `up` and drops it in `down`."""
    return sql(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, title TEXT)", down=[f"DROP TABLE {name}"])


THREE = {"001_one": table("one"), "002_two": table("two"), "003_three": table("three")}

_REBUILD = """
import peewee
from playhouse.migrate import migrate
migrate(migrator.add_column("parent", "size", peewee.IntegerField(default=3)))
"""
_BACK = """
from playhouse.migrate import migrate
migrate(migrator.drop_column("parent", "size", legacy=True))
"""
FAMILY = {
    "001_family": sql(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)",
        "CREATE TABLE child (parent_id INTEGER REFERENCES parent(id) ON DELETE CASCADE)",
        "CREATE TRIGGER twin AFTER INSERT ON parent BEGIN INSERT INTO child VALUES (NEW.id); END",
        down=["DROP TABLE child", "DROP TABLE parent"],
    ),
    "002_rows": sql(
        "INSERT INTO parent (name) VALUES ('a'), ('b')",
        "INSERT INTO parent (name) SELECT name || id FROM parent",
        down=["DELETE FROM child", "DELETE FROM parent WHERE id > 1"],
    ),
    "003_rebuild": python(_REBUILD, _BACK),
    "004_double": sql("UPDATE parent SET size = size * 2", down=["UPDATE parent SET size = size / 2"]),
}


def write(directory: Path, files: Mapping[str, str]) -> Path:
    """Write migrations, their names without `.py`, and give the directory."""
    directory.mkdir(exist_ok=True)
    for name, source in files.items():
        (directory / f"{name}.py").write_text(source, encoding="utf-8")
    return directory


@contextmanager
def runner_of(
    path: Target, directory: Path, table_name: str = "schema_migrations", **options: Any
) -> Iterator[MigrationRunner]:
    """Open a database and give a runner on it."""
    with opened(path) as database:
        yield MigrationRunner(database, directory, table_name, **options)


def migrate_all(path: Target, directory: Path, **options: Any) -> None:
    """Apply every pending migration."""
    with runner_of(path, directory, **options) as runner:
        runner.migrate()


def history(path: Target, name: str = "schema_migrations") -> list[int]:
    """Give the applied versions."""
    return [version for (version,) in rows(path, f'SELECT version FROM "{name}" ORDER BY version')]
