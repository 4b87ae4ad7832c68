"""Any sequence of operations, run as migrations: `up` does what each one says, and `down` restores each state."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.databases import raw, rows, script
from tests.support.migrations import python, runner_of, write
from tests.support.programs import ROUNDS

pytestmark = pytest.mark.long

START = """
CREATE TABLE thing (
  id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT COLLATE NOCASE DEFAULT 'it''s', b INTEGER NOT NULL CHECK (b >= 0),
  parent INTEGER REFERENCES thing(id) ON DELETE SET NULL, UNIQUE (a, b)
);
CREATE TABLE child (thing_id INTEGER NOT NULL REFERENCES thing(id) ON DELETE CASCADE, body TEXT);
CREATE TABLE log (what TEXT);
CREATE INDEX thing_b ON thing (b DESC) WHERE a IS NOT NULL;
CREATE TRIGGER thing_made AFTER INSERT ON thing BEGIN INSERT INTO log VALUES ('made ' || NEW.id); END;
INSERT INTO thing (a, b) VALUES ('x', 1), ('y', 2), (NULL, 3);
UPDATE thing SET parent = 1 WHERE id > 1;
INSERT INTO child VALUES (1, 'one'), (1, 'two'), (3, 'three');
"""
TEXTS = st.sampled_from(["", "it's", 'say "x"', "a,b (c)", "größe", "?%s:x"])

Change = tuple[str, str]  # the bodies of `up` and `down`


def ran(statement: str, *params: object) -> str:
    return f"db.execute_sql({statement!r}, {params!r})"


def changed(operation: str) -> str:
    return f"import peewee\nfrom playhouse.migrate import migrate\nmigrate({operation})"


@dataclass
class Table:
    """The expected state of the table under test; each operation gives its `up` and its `down`."""

    name: str = "thing"
    fresh: int = 0
    added: dict[str, bool] = field(default_factory=dict)  # column -> whether it is NOT NULL
    defaults: set[str] = field(default_factory=set)
    chars: set[str] = field(default_factory=set)
    values: list[dict[str, Any]] = field(default_factory=lambda: [{"b": n} for n in (1, 2, 3)])

    def number(self) -> int:
        self.fresh += 1
        return self.fresh

    def add_column(self, draw: st.DrawFn) -> Change:
        column, null = f"c{self.number()}", draw(st.booleans())
        default = None if null else draw(TEXTS)  # as in playhouse, rows get a default only where they need one
        self.added[column] = not null
        for row in self.values:
            row[column] = default
        options = f"null={null}" + (f", default={default!r}" if default is not None else "")
        up = f"migrator.add_column({self.name!r}, {column!r}, peewee.TextField({options}))"
        return changed(up), changed(f"migrator.drop_column({self.name!r}, {column!r})")

    def rename_column(self, draw: st.DrawFn) -> Change:
        old, new = draw(st.sampled_from(sorted(self.added))), f"Re named {self.number()}"
        self.added = {(new if name == old else name): kind for name, kind in self.added.items()}
        self.defaults, self.chars = (
            {new if name == old else name for name in names} for names in (self.defaults, self.chars)
        )
        for row in self.values:
            row[new] = row.pop(old)
        change = "migrator.rename_column({!r}, {!r}, {!r})"
        return changed(change.format(self.name, old, new)), changed(change.format(self.name, new, old))

    def rename_table(self, _: st.DrawFn) -> Change:
        old, self.name = self.name, f"thing {self.number()}"
        change = "migrator.rename_table({!r}, {!r})"
        return changed(change.format(old, self.name)), changed(change.format(self.name, old))

    def change_null(self, draw: st.DrawFn) -> Change:
        column = draw(st.sampled_from(sorted(self.added)))
        if any(row[column] is None for row in self.values):
            return self.fill(column)
        add, drop = (changed(f"migrator.{verb}_not_null({self.name!r}, {column!r})") for verb in ("add", "drop"))
        self.added[column] = not self.added[column]
        return (add, drop) if self.added[column] else (drop, add)

    def fill(self, column: str) -> Change:
        empty = [n for n, row in enumerate(self.values, 1) if row[column] is None]
        for n in empty:
            self.values[n - 1][column] = "filled"
        change = f'UPDATE "{self.name}" SET "{column}" = ? WHERE id IN ({", ".join(map(str, empty))})'
        return ran(change, "filled"), ran(change, None)

    def add_default(self, draw: st.DrawFn) -> Change:
        column, default = draw(st.sampled_from(sorted(self.added))), draw(TEXTS)
        up = f"migrator.add_column_default({self.name!r}, {column!r}, {default!r})"
        if column in self.defaults:
            return self.add_check(draw)
        self.defaults.add(column)
        return changed(up), changed(f"migrator.drop_column_default({self.name!r}, {column!r})")

    def add_check(self, draw: st.DrawFn) -> Change:
        column, name = draw(st.sampled_from(sorted(self.added))), f"check_{self.number()}"
        check = f"""CHECK ("{column}" <> 'forbidden, (')"""
        up = f"migrator.add_constraint({self.name!r}, {name!r}, peewee.SQL({check!r}))"
        return changed(up), changed(f"migrator.drop_constraint({self.name!r}, {name!r})")

    def add_index(self, draw: st.DrawFn) -> Change:
        column, name = draw(st.sampled_from(sorted(self.added))), f"index_{self.number()}"
        return ran(f'CREATE INDEX {name} ON "{self.name}" ("{column}" DESC, b) WHERE b > 0'), ran(f"DROP INDEX {name}")

    def change_type(self, draw: st.DrawFn) -> Change:
        column = draw(st.sampled_from(sorted(self.added)))
        change = f"migrator.alter_column_type({self.name!r}, {column!r}, peewee.{{}}(null={not self.added[column]}))"
        char, text = changed(change.format("CharField")), changed(change.format("TextField"))
        self.chars ^= {column}
        return (char, text) if column in self.chars else (text, char)

    def add_row(self, draw: st.DrawFn) -> Change:
        b = 100 + self.number()
        row = {"b": b} | {column: draw(TEXTS) for column in self.added}
        self.values.append(row)
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        up = ran(f'INSERT INTO "{self.name}" ({names}) VALUES ({marks})', *row.values())
        return up, ran(f'DELETE FROM "{self.name}" WHERE b = {b}')


ALWAYS = ("add_column", "rename_table", "add_row")
WITH_COLUMNS = (
    "rename_column",
    "change_null",
    "add_default",
    "add_check",
    "add_index",
    "change_type",
)


Sequence = tuple[Table, list[tuple[str, str, str]]]  # the end, and each step's name, `up` and `down`


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    table, steps = Table(), []
    for _ in range(draw(st.integers(2, 8))):
        operation = draw(st.sampled_from(ALWAYS + WITH_COLUMNS if table.added else ("add_column",)))
        event(operation)
        steps.append((operation, *getattr(table, operation)(draw)))
    return table, steps


def portrait(path: Path) -> dict[str, Any]:
    """Give the schema as SQLite describes it, and every row; the quotes in a CREATE may differ."""
    with raw(path) as connection:

        def ask(query: str, *words: str) -> list[Any]:
            return connection.execute(query, words).fetchall()

        tables = [
            name for (name,) in ask("SELECT name FROM sqlite_master WHERE type = 'table'") if "_migration" not in name
        ]
        found: dict[str, Any] = {"triggers": ask("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
        for table in set(tables) - {"schema_migrations", "schema_migration_log", "sqlite_sequence", "log"}:
            indexes = sorted(row[1:] for row in ask("SELECT * FROM pragma_index_list(?)", table))
            found[table] = {
                "columns": ask("SELECT * FROM pragma_table_xinfo(?)", table),
                "foreign keys": ask("SELECT * FROM pragma_foreign_key_list(?)", table),
                "indexes": [(index, ask("SELECT * FROM pragma_index_xinfo(?)", index[0])) for index in indexes],
                "rows": ask(f'SELECT rowid, * FROM "{table}" ORDER BY rowid'),
            }
        assert ask("PRAGMA foreign_key_check") == []
        assert ask("PRAGMA integrity_check") == [("ok",)]
    return found


@settings(max_examples=40 * ROUNDS)
@given(sequences())
def test_any_sequence_goes_up_as_it_says_and_down_again_exactly(
    sequence: tuple[Table, list[tuple[str, str, str]]],
) -> None:
    table, steps = sequence
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.db"
        script(path, START)
        files = {f"{n:03d}_{kind}": python(up, down) for n, (kind, up, down) in enumerate(steps, 1)}
        directory = write(Path(folder) / "own", files)
        states = [portrait(path)]
        with runner_of(path, directory, backup=False) as runner:
            runner.migrate(on_step=lambda _: states.append(portrait(path)))
            names = ", ".join(f'"{name}"' for name in ("b", *table.added))
            expected = [tuple(row[name] for name in ("b", *table.added)) for row in table.values]
            assert rows(path, f'SELECT {names} FROM "{table.name}" ORDER BY id') == expected
            assert runner.validate().ok
            for before in reversed(states[:-1]):
                runner.rollback()
                assert portrait(path) == before
        script(path, "INSERT INTO thing (b) VALUES (77); DELETE FROM thing WHERE id = 1")
        assert rows(path, "SELECT what FROM log ORDER BY rowid DESC LIMIT 1") == rows(
            path, "SELECT 'made ' || max(id) FROM thing"
        )
