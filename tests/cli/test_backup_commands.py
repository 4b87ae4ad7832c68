"""The commands `backup`, `restore` and `rehearse`, and the backup before a run that may lose rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.commands import OWN, called, command
from tests.support.databases import dump, fill, overwrite, raw, rows, script
from tests.support.disks import forked_with_small_files
from tests.support.migrations import history, migrate_all, runner_of, sql, write
from usage_store.engines.sqlite.copies.back_up import list_backups
from usage_store.errors import BackupFailed

if TYPE_CHECKING:
    import subprocess

MAKE = sql("CREATE TABLE a (x)", "INSERT INTO a VALUES (1)", down=["DROP TABLE a"])
MORE = sql("INSERT INTO a VALUES (2)", down=["DELETE FROM a WHERE x = 2"])


def _run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return called(*OWN, *words, cwd=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two migrations, which are applied."""
    write(tmp_path / "own", {"001_make": MAKE, "002_more": MORE})
    migrate_all(tmp_path / "app.db", tmp_path / "own")
    assert list_backups(tmp_path / "app.db") == ()
    return tmp_path


def test_a_rollback_writes_one_backup_for_the_run_with_the_state_before_it(folder: Path) -> None:
    before = dump(folder / "app.db")
    ended = _run(folder, "rollback", "0")
    (backup,) = list_backups(folder / "app.db")
    assert ended.returncode == 0
    assert ended.stderr == f"backed up version 2 to {backup.path}\n"
    assert backup.version == 2
    assert dump(backup.path) == before


@pytest.mark.parametrize("words", [("rollback", "--no-backup"), ("--no-backup", "rollback")])
def test_no_backup_is_taken_on_request_or_without_rows(folder: Path, words: tuple[str, ...]) -> None:
    ended = _run(folder, *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    script(folder / "app.db", "DELETE FROM a")
    assert _run(folder, "rollback", "0").stderr == ""
    assert history(folder / "app.db") == []
    assert list_backups(folder / "app.db") == ()


@pytest.mark.parametrize(
    "source",
    ["deletes = ('a',)\n" + sql("DROP TABLE a"), "drops = ['a_x']\n" + sql("DROP INDEX a_x")],
    ids=["deletes", "drops"],
)
def test_a_backup_is_taken_before_a_migration_that_declares_a_loss_and_before_no_other(
    folder: Path, source: str
) -> None:
    write(folder / "own", {"003_add": sql("INSERT INTO a VALUES (3)", "CREATE INDEX a_x ON a (x)")})
    assert _run(folder).stderr == ""
    write(folder / "own", {"004_lose": source})
    assert _run(folder).returncode == 0
    (backup,) = list_backups(folder / "app.db")
    assert backup.version == 3
    assert rows(backup.path, "SELECT x FROM a") == [(1,), (2,), (3,)]


def test_a_backup_is_also_taken_before_a_migration_outside_a_transaction(folder: Path) -> None:
    write(folder / "own", {"003_vacuum": sql("VACUUM", down=["DELETE FROM a"], atomic=False)})
    assert _run(folder).returncode == 0
    assert _run(folder, "rollback").returncode == 0
    (backup,) = list_backups(folder / "app.db")
    assert rows(backup.path, "SELECT x FROM a") == [(1,), (2,)]


def test_without_disk_space_for_a_backup_nothing_is_rolled_back(folder: Path) -> None:
    fill(folder / "app.db")

    def roll_back() -> None:
        with (
            runner_of(folder / "app.db", folder / "own") as runner,
            pytest.raises(
                BackupFailed, match=r"so the migration was not run: .*the disk.*; --no-backup runs it without a backup"
            ),
        ):
            runner.rollback()

    assert forked_with_small_files(roll_back, 100_000) == 0
    assert history(folder / "app.db") == [1, 2]
    assert list_backups(folder / "app.db") == ()


def test_backup_and_restore_say_where_the_files_are(folder: Path) -> None:
    ended = command(*OWN, "backup", cwd=folder)
    (backup,) = list_backups(folder / "app.db")
    assert ended.stdout.startswith(f"backed up version 2 to {backup.path} (0.0")
    script(folder / "app.db", "DELETE FROM a")
    ended = command(*OWN, "restore", backup.path.name, cwd=folder)
    kept = list_backups(folder / "app.db")[1].path
    assert ended.stdout == f"restored {backup.path.name}; what was there is kept as {kept}\n"
    assert rows(folder / "app.db", "SELECT x FROM a") == [(1,), (2,)]
    as_json = json.loads(called(*OWN, "backup", "--json", cwd=folder).stdout)
    assert (as_json["version"], as_json["bytes"]) == (2, Path(as_json["backup"]).stat().st_size)
    as_json = json.loads(called(*OWN, "restore", as_json["backup"], "--json", cwd=folder).stdout)
    assert rows(Path(as_json["kept"]), "SELECT x FROM a") == [(1,), (2,)]


def test_restore_repairs_a_database_that_no_other_command_can_open(folder: Path) -> None:
    assert _run(folder, "backup").returncode == 0
    (backup,) = list_backups(folder / "app.db")
    overwrite(folder / "app.db", 0, b"noise" * 100)
    assert _run(folder, "status").returncode == 8
    assert ".damaged" in _run(folder, "restore", backup.path).stdout
    assert _run(folder, "validate").returncode == 0
    assert _run(folder, "restore", "nowhere").returncode == 8
    assert _run(folder, "restore", "app.db").returncode == 2


def test_restore_waits_for_a_writer_and_says_so(folder: Path) -> None:
    assert _run(folder, "backup").returncode == 0
    (backup,) = list_backups(folder / "app.db")
    with raw(folder / "app.db") as writer:
        writer.execute("BEGIN IMMEDIATE")
        ended = _run(folder, "restore", backup.path, "--wait", "0.1")
    assert ended.returncode == 6
    assert ended.stderr.splitlines()[0] == "another process is writing to this database; waiting up to 0.1 s"


def test_rehearse_prints_what_each_migration_did_and_exits_by_how_it_went(folder: Path) -> None:
    assert called(*OWN, "rehearse", cwd=folder).stdout == "nothing to rehearse: nothing is pending\n"
    write(folder / "own", {"003_more": MORE.replace("x = 2", "x > 1")})
    ended = called(*OWN, "rehearse", cwd=folder)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 4
    assert lines[0].startswith("rehearsed on a copy of 0.0")
    assert lines[1] == "003_more"
    assert lines[2].startswith("  up    ")
    assert lines[3] == "        a: 3 rows, had 2"
    assert lines[5] == "        not restored: a: 1 rows, should be 2"
    as_json = json.loads(called(*OWN, "rehearse", "3", "--json", cwd=folder).stdout)
    assert (as_json["ok"], as_json["migrations"][0]["version"]) == (False, 3)
    assert as_json["migrations"][0]["up"]["tables"] == [{"table": "a", "before": 2, "after": 3}]
    write(folder / "own", {"003_more": sql("nonsense")})
    ended = called(*OWN, "rehearse", cwd=folder)
    assert ended.returncode == 7
    assert "failed: 003_more.py, line 2: OperationalError" in ended.stdout
    assert history(folder / "app.db") == [1, 2]


def test_a_usage_database_with_only_default_rows_is_not_backed_up(tmp_path: Path) -> None:
    def backups_after(statement: str) -> int:
        called("--database", "usage.db", cwd=tmp_path)
        script(tmp_path / "usage.db", statement)
        assert called("--database", "usage.db", "rollback", "0", cwd=tmp_path).returncode == 0
        return len(list_backups(tmp_path / "usage.db"))

    assert backups_after("SELECT 1") == 0
    assert backups_after("UPDATE usage_config SET theme = 'dark'") == 1
    assert backups_after("INSERT INTO usage_sessions (session_id) VALUES ('s')") == 2
    assert backups_after("CREATE TABLE host (x); INSERT INTO host VALUES (1)") == 3
