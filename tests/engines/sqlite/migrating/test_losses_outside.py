"""With `atomic = False` nothing can be rolled back, so an undeclared loss is refused before it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.databases import dump, rows, script
from tests.support.migrations import python, runner_of, sql, write
from usage_store import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

HOST = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE, w); INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2);
CREATE TABLE u (t INTEGER, n); INSERT INTO u VALUES (1, 1), (2, 2);
CREATE TRIGGER t_u AFTER UPDATE OF w ON t BEGIN DELETE FROM u WHERE t = old.id; END;
CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('a');
CREATE VIRTUAL TABLE k USING fts4(v, content='t');
CREATE TRIGGER t_k AFTER UPDATE OF v ON t BEGIN DELETE FROM k WHERE docid = old.id; END;
"""
REBUILD = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE{0})"
DROPS_COLUMN = f"migrator.migrate(migrator.rebuild_table('t', '{REBUILD.format('')}', drop=['w']))"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    script(tmp_path / "app.db", HOST)
    return tmp_path / "app.db"


LOSSES = [
    (sql("DELETE FROM t WHERE id = 1", atomic=False), "DELETE of t"),
    (sql("DELETE FROM t", atomic=False), "DELETE of t"),
    (sql("BEGIN", "DELETE FROM T", "COMMIT", atomic=False), "DELETE of t"),
    (python("db.connection().executescript('DELETE FROM t')", atomic=False), "DELETE of t"),
    (sql("DROP TABLE t", atomic=False), "DROP TABLE of t"),
    (sql("CREATE TABLE IF NOT EXISTS t (a)", "DROP TABLE t", atomic=False), "DROP TABLE of t"),
    (sql("ALTER TABLE u RENAME TO z", "DROP TABLE z", "ALTER TABLE z RENAME TO u", atomic=False), "DROP TABLE of z"),
    (sql("UPDATE t SET w = 7", atomic=False), "DELETE of u"),
    (sql("DELETE FROM f", atomic=False), "DELETE of f"),
    (sql("DROP TABLE f", atomic=False), "DROP TABLE of f"),
    (sql("ALTER TABLE u DROP COLUMN n", atomic=False), r"ALTER TABLE that drops a column of u\.n"),
    (python("migrator.migrate(migrator.drop_column('u', 'n'))", atomic=False), r"drops a column of u\.n"),
    (python(f"db.foreign_keys = 0\n{DROPS_COLUMN}", atomic=False), r"drops a column of t\.w"),
]


@pytest.mark.parametrize(("source", "said"), LOSSES)
def test_an_undeclared_loss_is_refused_before_it_happens(path: Path, tmp_path: Path, source: str, said: str) -> None:
    directory = write(tmp_path / "own", {"001_bad": source})
    script(path, "DROP TRIGGER t_u" if "t.w" in said.replace("\\", "") else "")
    before = dump(path)
    with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match=said + " in a migration"):
        runner.migrate()
    after = dump(path)
    renamed = {"z": "u"} if "of z" in said else {}
    assert {renamed.get(name, name): rows for name, rows in after.items() if name != "schema"} == {
        name: rows for name, rows in before.items() if name != "schema"
    }
    assert not list(tmp_path.glob("*.backup"))


@pytest.mark.parametrize(("source", "said"), LOSSES[:2] + LOSSES[4:5] + LOSSES[7:11])
def test_a_declared_loss_happens_after_a_backup(path: Path, tmp_path: Path, source: str, said: str) -> None:
    del said
    write(tmp_path / "own", {"001_meant": "deletes = ('T', 'u', 'f', 'u.n')\n" + source})
    with runner_of(path, tmp_path / "own") as runner:
        assert len(runner.migrate()) == 1
    (backup,) = tmp_path.glob("*.backup")
    assert rows(backup, "SELECT count(*) FROM t") == [(2,)]


@pytest.mark.parametrize(
    "source",
    [
        sql("CREATE TABLE x (a)", "INSERT INTO x VALUES (1)", "DELETE FROM x", "DROP TABLE x", atomic=False),
        sql("CREATE TEMP TABLE u AS SELECT 1", "DELETE FROM temp.u", "DROP TABLE temp.u", atomic=False),
        sql("REPLACE INTO t VALUES (1, 'c', 3)", "VACUUM", "ANALYZE", "REINDEX", "DROP TRIGGER t_u", atomic=False),
        sql("INSERT INTO f(f) VALUES ('optimize')", "UPDATE f SET x = 'b'", "DROP TABLE k", atomic=False),
        sql("UPDATE t SET v = v || 'x'", atomic=False),
        python("migrator.backfill('t', 'v = upper(v)')", atomic=False),
        python("db.foreign_keys = 0\nmigrator.migrate(migrator.add_not_null('t', 'v'))", atomic=False),
    ],
)
def test_what_loses_nothing_is_let_through(path: Path, tmp_path: Path, source: str) -> None:
    write(tmp_path / "own", {"001_good": source})
    with runner_of(path, tmp_path / "own") as runner:
        assert len(runner.migrate()) == 1
    assert rows(path, "SELECT count(*) FROM t") == [(2,)]
    assert rows(path, "SELECT count(*) FROM u") == [(2,)]


def test_only_the_rebuild_itself_may_drop_the_table(path: Path, tmp_path: Path) -> None:
    rebuild = "db.foreign_keys = 0\nmigrator.migrate(migrator.add_not_null('t', 'v'))\n"
    fails = "try:\n    migrator.migrate(migrator.add_not_null('t', 'w'))\nexcept Exception:\n    pass\n"
    script(path, "DROP TRIGGER t_u")
    for body in (rebuild, "db.execute_sql('UPDATE t SET w = NULL')\n" + fails):
        bad = python(body + "db.execute_sql('DROP TABLE t')", atomic=False)
        directory = write(tmp_path / "own", {"001_bad": bad})
        with runner_of(path, directory) as runner, pytest.raises(errors.MigrationFailed, match="DROP TABLE of t "):
            runner.migrate()
    assert rows(path, "SELECT count(*) FROM t") == [(2,)]


def test_down_may_drop_and_delete(path: Path, tmp_path: Path) -> None:
    source = sql(down=["DELETE FROM u", "ALTER TABLE u DROP COLUMN n", "DROP TABLE u"], atomic=False)
    write(tmp_path / "own", {"001_good": source})
    with runner_of(path, tmp_path / "own") as runner:
        runner.migrate()
        assert len(runner.rollback()) == 1
    assert len(list(tmp_path.glob("*.backup"))) == 1
