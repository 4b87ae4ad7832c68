"""A table with every feature of SQLite, and functions that show what an operation changed and check the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from usage_store.engines.sqlite.file.integrity_checks import violations
from usage_store.engines.sqlite.migrating.forbidden_statements import Guard
from usage_store.engines.sqlite.schema.read_whole_schema import read_catalog
from usage_store.engines.sqlite.schema.schema_operations import LosslessMigrator, migrator_for

if TYPE_CHECKING:
    from collections.abc import Callable

    import peewee

    Operation = Callable[[LosslessMigrator], Any]


TORTURE = """CREATE TABLE Torture ( /* every, (feature) at once */
  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key; CHECK (not, this)
  "Mixed ""Case"", Name" TEXT COLLATE NOCASE NOT NULL DEFAULT 'it''s,  two  spaces
and a line',
  [open] TEXT DEFAULT '(' CHECK ([open] <> ')' AND length([open]) < 10),
  `amount` DECIMAL(10, 2) CONSTRAINT amount_range CHECK (amount BETWEEN -1 AND (max(1, 2) * 1000)) DEFAULT -0.5,
  made INTEGER DEFAULT (unixepoch()),
  parent INTEGER CONSTRAINT to_parent REFERENCES parents(id)
    ON DELETE SET NULL ON UPDATE SET DEFAULT DEFERRABLE INITIALLY DEFERRED,
  "next" INTEGER REFERENCES "Torture"(id) ON DELETE CASCADE,
  a INTEGER, b TEXT,
  doubled INTEGER GENERATED ALWAYS AS (a * 2) VIRTUAL,
  kept TEXT AS (b || ', ') STORED,
  spare BLOB, -- goes, when told
  "größe" NULL CHECK ("größe" > 0), -- small, (or not)
  maybe TEXT CONSTRAINT there NOT NULL ON CONFLICT ROLLBACK DEFAULT''CHECK(maybe<>'no') -- the last one, really
  , CONSTRAINT "pair" FOREIGN KEY (a, b) REFERENCES pairs(x, y) ON DELETE CASCADE
  , CONSTRAINT in_list CHECK (b IN ('x', 'y)', 'z,(') OR (b IS NULL))
    UNIQUE (a, b), CHECK (torture.a <> 13)
)"""
OTHERS = """
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE pairs (x INTEGER, y TEXT, PRIMARY KEY (x, y)) WITHOUT ROWID;
CREATE TABLE children (id INTEGER PRIMARY KEY, torture INTEGER REFERENCES torture(id) ON DELETE CASCADE);
CREATE TABLE log (what TEXT);
CREATE INDEX t_partial ON Torture(made DESC) WHERE parent IS NOT NULL AND b <> ')';
CREATE INDEX t_expression ON torture(length(b) COLLATE BINARY, "Mixed ""Case"", Name" COLLATE RTRIM DESC);
CREATE UNIQUE INDEX "t unique" ON "Torture"([id], kept);
CREATE TRIGGER t_insert AFTER INSERT ON TORTURE BEGIN INSERT INTO log VALUES ('made, ' || new.b); END;
CREATE TRIGGER t_update BEFORE UPDATE OF a ON Torture WHEN new.a = 99 BEGIN SELECT RAISE(ABORT, 'not (99)'); END;
CREATE TRIGGER c_insert AFTER INSERT ON children BEGIN UPDATE torture SET made = 1 WHERE id = new.torture; END;
CREATE VIEW v AS SELECT id, b AS b, "Mixed ""Case"", Name" AS name FROM torture;
CREATE VIEW w AS SELECT name FROM v;
CREATE TRIGGER v_insert INSTEAD OF INSERT ON v BEGIN INSERT INTO torture (b, maybe) VALUES (new.b, ''); END;
CREATE TEMP TRIGGER t_temporary AFTER DELETE ON Torture BEGIN INSERT INTO log (what) VALUES ('gone'); END;
INSERT INTO parents VALUES (1), (2);
INSERT INTO pairs VALUES (1, 'x'), (2, 'y)'), (7, 'x');
INSERT INTO torture (id, a, b, parent, "next", amount, maybe) VALUES
  (5, 1, 'x', 1, 5, 1.25, ''), (9, 2, 'y)', 2, 5, 2, 'm');
INSERT INTO torture (id, b, spare, made) VALUES (40, NULL, x'00ff', 7), (90, NULL, NULL, 8);
DELETE FROM torture WHERE id = 90;
INSERT INTO children VALUES (1, 5), (2, 9);
ANALYZE;
"""
State = dict[str, Any]


def state(database: peewee.SqliteDatabase) -> State:
    """Give the whole content of the database; the texts of the schema are by name."""
    found: State = {}
    for schema in ("sqlite_master", "sqlite_temp_master"):
        for name, kind, sql in database.execute_sql(f"SELECT name, type, sql FROM {schema}").fetchall():
            found[f"{schema} {kind} {name}"] = sql
            if kind == "table":
                rowid = "" if "WITHOUT ROWID" in sql or name.startswith("sqlite_") else "rowid, "
                found[f"rows {name}"] = sorted(
                    database.execute_sql(f'SELECT {rowid}* FROM "{name}"').fetchall(), key=repr
                )
    return found


def difference(before: State, after: State) -> dict[str, tuple[Any, Any]]:
    return {key: (before.get(key), after.get(key)) for key in before | after if before.get(key) != after.get(key)}


def run(database: peewee.SqliteDatabase, operation: Operation) -> None:
    """Run an operation as the runner does: in a transaction that is watched."""
    migrator = migrator_for(database)
    guard = Guard()
    with database.atomic("IMMEDIATE"), guard.watching(database.connection()):
        migrator.migrate(operation(migrator))
    assert guard.refused is None


def sound(database: peewee.SqliteDatabase) -> None:
    assert database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not violations(database)
    assert database.pragma("legacy_alter_table") == 0
    read_catalog(database)
    database.close()
    database.connect()  # the schema is read from the file again
    assert database.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]


TABLE = "sqlite_master table Torture"


def edited(old: str, new: str) -> str:
    """Give the text of the table after a rebuild: its name is quoted, and is removed before column names."""
    text = TORTURE.replace("TABLE Torture (", 'TABLE "Torture" (').replace("torture.a", "a")
    assert text.count(old) == 1
    return text.replace(old, new)
