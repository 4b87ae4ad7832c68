"""Of a virtual table, its own rows are counted, and not those of its internal (shadow) tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import contents
from tests.support.migrations import sql, write
from usage_store import MigrationRunner, errors

if TYPE_CHECKING:
    from pathlib import Path

    import peewee

pytestmark = pytest.mark.quick

NUMBERS = "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i LIMIT 3000)"
HOST = f"""
CREATE TABLE posts (id INTEGER PRIMARY KEY, body TEXT);
CREATE VIRTUAL TABLE f USING fts5(body, content='posts', content_rowid='id');
CREATE TRIGGER ai AFTER INSERT ON posts BEGIN INSERT INTO f(rowid, body) VALUES (new.id, new.body); END;
CREATE TRIGGER ad AFTER DELETE ON posts BEGIN INSERT INTO f(f, rowid, body) VALUES ('delete', old.id, old.body); END;
CREATE TRIGGER au AFTER UPDATE ON posts BEGIN
  INSERT INTO f(f, rowid, body) VALUES ('delete', old.id, old.body);
  INSERT INTO f(rowid, body) VALUES (new.id, new.body); END;
{NUMBERS} INSERT INTO posts SELECT n, 'word' || n || ' alpha ' || n * 7 FROM i;
CREATE VIRTUAL TABLE own USING fts5(body); INSERT INTO own SELECT body FROM posts;
CREATE VIRTUAL TABLE bare USING fts5(body, content=''); INSERT INTO bare(rowid, body) SELECT id, body FROM posts;
CREATE VIRTUAL TABLE four USING fts4(body); INSERT INTO four SELECT body FROM posts;
CREATE VIRTUAL TABLE box USING rtree(id, a, b); INSERT INTO box SELECT id, id, id + 1 FROM posts;
CREATE VIRTUAL TABLE words USING fts5vocab(own, 'row');
"""


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE posts SET body = 'short'",),
        ("INSERT INTO f(f) VALUES ('optimize')", "INSERT INTO f(f) VALUES ('rebuild')"),
        ("INSERT INTO own(own) VALUES ('optimize')", "INSERT INTO bare(bare) VALUES ('optimize')"),
        ("INSERT INTO four(four) VALUES ('optimize')", "UPDATE four SET body = 'short'"),
        ("INSERT INTO bare(bare) VALUES ('delete-all')",),
        ("DROP TRIGGER ai", "DROP TRIGGER ad", "DROP TRIGGER au", "DROP TABLE f"),
        ("ALTER TABLE own RENAME TO renamed", "INSERT INTO renamed(renamed) VALUES ('optimize')"),
        ("UPDATE box SET b = 4000",),
    ],
)
def test_what_arranges_an_index_anew_loses_nothing(
    database: peewee.SqliteDatabase, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    directory = write(tmp_path / "own", {"001_good": sql(*statements)})
    assert len(MigrationRunner(database, directory).migrate()) == 1


LOSSES = [
    ("posts", ("DELETE FROM posts WHERE id > 100",), "posts lost 2900 of 3000 rows"),
    ("own", ("DELETE FROM own WHERE rowid > 100",), "own lost 2900 of 3000 rows"),
    ("own", ("DROP TABLE own",), "own was dropped with 3000 rows"),
    ("own", ("DROP TABLE own", "CREATE VIRTUAL TABLE own USING fts5(body)"), "own lost 3000 of 3000 rows"),
    ("four", ("DELETE FROM four WHERE docid > 100",), "four lost 2900 of 3000 rows"),
    ("box", ("DELETE FROM box WHERE id > 100",), "box lost 2900 of 3000 rows"),
    ("box", ("ALTER TABLE box RENAME TO b", "DELETE FROM b"), "box, now b, lost 3000 of 3000 rows"),
]


@pytest.mark.parametrize(("table", "statements", "said"), LOSSES)
def test_rows_that_it_loses_are_declared(
    database: peewee.SqliteDatabase, tmp_path: Path, table: str, statements: tuple[str, ...], said: str
) -> None:
    directory = write(tmp_path / "own", {"001_lossy": sql(*statements)})
    runner, before = MigrationRunner(database, directory), contents(database.connection())
    with pytest.raises(errors.MigrationFailed) as caught:
        runner.migrate()
    line = f"{said}; if that is meant, declare deletes = ('{table}',); rolled back"
    assert line in str(caught.value)
    assert contents(database.connection()) == before
    write(directory, {"001_lossy": f"deletes = ['{table}']\n" + sql(*statements)})
    assert len(runner.migrate()) == 1


def test_the_columns_of_a_full_text_index_are_not_asked_for(database: peewee.SqliteDatabase, tmp_path: Path) -> None:
    statements = ("CREATE VIRTUAL TABLE n USING fts5(text)", "INSERT INTO n SELECT body FROM own", "DROP TABLE own")
    source = sql(*statements, "ALTER TABLE n RENAME TO own")
    assert len(MigrationRunner(database, write(tmp_path / "own", {"001_good": source})).migrate()) == 1
