"""Dumping usage data to JSON and JSON Lines, and loading it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import opened
from tests.support.programs import run_python
from tests.support.stores import make_store
from usage_store import UsageConfig, UsageSession, UsageSnapshot
from usage_store.errors import ConfigurationError
from usage_store.models import MODELS
from usage_store.testing import dump_usage, load_usage, seed_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

NOW = 1_752_900_000
MADE_BY_VERSION_2 = Path(__file__).parents[1] / "files" / "version2.usage.json"
TABLES = ("usage_config", "usage_sessions", "usage_snapshots")


@pytest.fixture
def another(second_target: Target) -> Iterator[peewee.Database]:
    """Give a second migrated database. It is closed, and no model is bound to it."""
    make_store(second_target)
    with opened(second_target) as database:
        database.close()
        yield database


def _content(database: peewee.Database) -> dict[str, list[tuple[Any, ...]]]:
    rows = {table: database.execute_sql(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES}
    assert all(rows.values())
    return rows


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_dump_loaded_elsewhere_is_identical(
    usage_database: peewee.Database, another: peewee.Database, tmp_path: Path, suffix: str
) -> None:
    seed_usage(usage_database, now=NOW)
    UsageSession.register("🦊 o'Neil")
    UsageSnapshot.record("🦊 o'Neil", '{ "kept" : "as given \\u00e9 é" }', "config", 0)
    UsageConfig.insert(is_active=False, reset_hour=None, created_at=5, updated_at=6).execute()
    usage_database.execute_sql("UPDATE usage_sessions SET created_at = 7")
    usage_database.execute_sql("DELETE FROM usage_snapshots WHERE id = 3")
    expected = _content(usage_database)
    dump_usage(usage_database, tmp_path / f"first.{suffix}")
    assert _content(usage_database) == expected
    with another:
        seed_usage(another, sessions=2, seed=9)  # is replaced
        for _ in range(2):
            load_usage(another, tmp_path / f"first.{suffix}")
            assert _content(another) == expected
        with another.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
            assert UsageSnapshot.record("🦊 o'Neil", {}).id == expected["usage_snapshots"][-1][0] + 1
            UsageConfig.insert(is_active=False).execute()
        load_usage(another, tmp_path / f"first.{suffix}")
        dump_usage(another, str(tmp_path / f"second.{suffix}"))
    assert (tmp_path / f"second.{suffix}").read_bytes() == (tmp_path / f"first.{suffix}").read_bytes()


def test_a_fixture_is_json_that_a_person_can_read_and_edit(usage_database: peewee.Database, tmp_path: Path) -> None:
    seed_usage(usage_database, snapshots=1, now=NOW)
    dump_usage(usage_database, tmp_path / "usage.json")
    fixture = json.loads((tmp_path / "usage.json").read_text(encoding="utf-8"))
    assert fixture.keys() == {"format", *TABLES}
    assert fixture["usage_snapshots"][0].keys() == {"id", "session_id", "snapshot_data", "snapshot_type", "timestamp"}
    assert len((tmp_path / "usage.json").read_text(encoding="utf-8").splitlines()) > 20


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda text: text[:-20],
        lambda _: "[]",
        lambda _: "{}",
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"usage_sessions"', '"sessions"'),
        lambda text: json.dumps(json.loads(text) | {"usage_config": 7}),
        lambda text: json.dumps(json.loads(text) | {"usage_config": ["plan"]}),
        lambda text: text.replace('"snapshot_data"', '"data"'),
        lambda text: text.encode("utf-16"),
        lambda _: "[" * 100_000,
    ],
    ids=[
        *("empty", "cut off", "a list", "an empty object", "another format", "a table missing", "no rows", "no row"),
        *("an unknown column", "not UTF-8", "nested"),
    ],
)
def test_a_file_that_is_no_fixture_is_refused_and_changes_nothing(
    usage_database: peewee.Database, tmp_path: Path, change: Callable[[str], str | bytes]
) -> None:
    seed_usage(usage_database, snapshots=5, now=NOW)
    path = tmp_path / "usage.json"
    dump_usage(usage_database, path)
    changed = change(path.read_text(encoding="utf-8"))
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    before = _content(usage_database)
    with pytest.raises(ConfigurationError, match=r"usage\.json: "):
        load_usage(usage_database, path)
    assert _content(usage_database) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"refresh_rate": ', '"refresh_rate": 1000'),
        lambda text: text.replace('"snapshot_type": "stats"', '"snapshot_type": "other"'),
        lambda text: text.replace('"timestamp": 1', '"timestamp": 1000'),
        lambda text: json.dumps(json.loads(text) | {"usage_sessions": []}),
    ],
    ids=["out of range", "not a choice", "milliseconds", "unknown sessions"],
)
def test_a_fixture_whose_rows_break_a_rule_is_refused_and_changes_nothing(
    usage_database: peewee.Database, tmp_path: Path, change: Callable[[str], str]
) -> None:
    seed_usage(usage_database, snapshots=5, now=NOW)
    path = tmp_path / "usage.json"
    dump_usage(usage_database, path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    before = _content(usage_database)
    with pytest.raises((ConfigurationError, peewee.IntegrityError), match=r"constraint|out of range"):
        load_usage(usage_database, path)
    assert _content(usage_database) == before


def test_a_missing_fixture_is_python_s_own_error(usage_database: peewee.Database, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_usage(usage_database, tmp_path / "none.json")


def test_a_file_of_version_2_still_loads(usage_database: peewee.Database, tmp_path: Path) -> None:
    load_usage(usage_database, MADE_BY_VERSION_2)
    assert [len(rows) for rows in _content(usage_database).values()] == [1, 2, 5]
    kept = UsageSnapshot.get_by_id(5)
    assert (kept.snapshot_data, kept.snapshot_type) == ('{ "kept" : "as given \\u00e9 é" }', "config")
    dump_usage(usage_database, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text(encoding="utf-8") == MADE_BY_VERSION_2.read_text(encoding="utf-8")


def test_json_lines_have_one_row_on_a_line_between_the_format_and_the_number_of_rows(
    usage_database: peewee.Database, tmp_path: Path
) -> None:
    seed_usage(usage_database, sessions=2, snapshots=3, now=NOW)
    dump_usage(usage_database, tmp_path / "usage.jsonl")
    first, *rows, last = _lines(tmp_path / "usage.jsonl")
    assert first == {"format": 1}
    assert [list(row) for row in rows] == [[table] for table in TABLES for _ in _content(usage_database)[table]]
    assert rows[-1]["usage_snapshots"].keys() == {"id", "session_id", "snapshot_data", "snapshot_type", "timestamp"}
    assert last == {"rows": 6}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


CHECK = r"(CHECK constraint failed|new row .* violates check constraint)"  # in SQLite's words or the server's
FOREIGN_KEY = r"(FOREIGN KEY constraint failed|insert .* violates foreign key constraint)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: [], "line 1: not a file of dump_usage"),
        (lambda lines: ['{"format": 2}', *lines[1:]], "line 1: not a file of dump_usage"),
        (lambda lines: lines[1:], "line 1: not a file of dump_usage"),
        (lambda lines: lines[:-1], "line 9 is not the number of rows: the file was cut"),
        (lambda lines: [*lines[:-2], lines[-2][:-30]], "line 9: not JSON"),
        (lambda lines: [*lines[:6], *lines[7:]], "line 9: there should be 8 rows, but there are 7"),
        (lambda lines: [*lines, lines[-2]], "line 11: nothing may follow the number of rows"),
        (lambda lines: [*lines[:6], "[]", *lines[6:]], "line 7: not a JSON object"),
        (lambda lines: [*lines[:6], "", *lines[6:]], "line 7: not JSON"),
        (lambda lines: [*lines[:6], "[" * 100_000, *lines[6:]], "line 7: not JSON"),
        (
            lambda lines: [*lines[:6], '{"people": {}}', *lines[6:]],
            "line 7: not a row of usage_config, usage_sessions,",
        ),
        (lambda lines: [*lines[:6], "{}", *lines[6:]], "line 7: not a row of usage_config"),
        (lambda lines: [*lines[:6], '{"usage_sessions": 7}', *lines[6:]], "line 7: usage_sessions has the columns"),
        (
            lambda lines: [line.replace('"snapshot_type"', '"type"') for line in lines],
            "line 6: usage_snapshots has the",
        ),
        (lambda lines: [line.replace('"stats"', '"other"') for line in lines], f"line 6: {CHECK}"),
        (lambda lines: [line.replace('"stats"', "[7]") for line in lines], "line 6: "),
        (lambda lines: [line.replace('"stats"', '"\\ud800"') for line in lines], "line 6: "),
        (lambda lines: [line.replace('"timestamp": 1', f'"timestamp": {10**30}') for line in lines], "line 6: "),
        (lambda lines: [lines[0], *lines[5:9], *lines[1:5], lines[9]], f"line 2: {FOREIGN_KEY}"),
        (lambda lines: [*lines[:6], "\udcff", *lines[6:]], "line 7: not JSON"),
    ],
    ids=[
        *("empty", "another format", "no format", "cut after a row", "cut in a row", "a row missing", "a row too many"),
        *("a list", "an empty line", "nested", "another table", "no table", "no row", "an unknown column"),
        *("not a choice", "a list as a value", "half a character", "a huge number", "unknown sessions", "not UTF-8"),
    ],
)
def test_json_lines_that_are_wrong_are_refused_with_the_line_and_change_nothing(
    usage_database: peewee.Database, tmp_path: Path, change: Callable[[list[str]], list[str]], message: str
) -> None:
    seed_usage(usage_database, snapshots=4, now=NOW)
    path = tmp_path / "usage.jsonl"
    dump_usage(usage_database, path)
    lines = change(path.read_text(encoding="utf-8").splitlines())
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"))
    before = _content(usage_database)
    with pytest.raises(ConfigurationError, match=rf"^\S+usage\.jsonl: {message}[^\n]*$"):
        load_usage(usage_database, path)
    assert _content(usage_database) == before


def test_a_row_of_a_json_file_that_is_refused_is_named(usage_database: peewee.Database, tmp_path: Path) -> None:
    seed_usage(usage_database, snapshots=4, now=NOW)
    path = tmp_path / "usage.json"
    dump_usage(usage_database, path)
    fixture = json.loads(path.read_text(encoding="utf-8"))
    for value in ([7], 10**30, "\ud800", "other"):
        fixture["usage_snapshots"][2]["snapshot_type"] = value
        path.write_text(json.dumps(fixture), encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"usage\.json: usage_snapshots, row 3: "):
            load_usage(usage_database, path)
    assert UsageSnapshot.select().count() == 4


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_dump_that_fails_leaves_the_older_file_and_nothing_beside_it(
    usage_database: peewee.Database, tmp_path: Path, suffix: str
) -> None:
    seed_usage(usage_database, snapshots=4, now=NOW)
    folder = tmp_path / "dumps"
    folder.mkdir()
    path = folder / f"usage.{suffix}"
    dump_usage(usage_database, path)
    path.chmod(0o640)
    before = path.read_bytes()
    usage_database.execute_sql("ALTER TABLE usage_snapshots RENAME TO elsewhere")
    with pytest.raises(peewee.DatabaseError, match=r"no such table|does not exist"):
        dump_usage(usage_database, path)
    assert path.read_bytes() == before
    usage_database.execute_sql("ALTER TABLE elsewhere RENAME TO usage_snapshots")
    UsageSession.register("one more")
    dump_usage(usage_database, path)
    assert b"one more" in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(folder.iterdir()) == [path]


def test_a_dump_into_a_missing_folder_names_the_file_that_was_asked_for(
    usage_database: peewee.Database, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        dump_usage(usage_database, tmp_path / "none" / "usage.jsonl")
    assert caught.value.filename == str(tmp_path / "none" / "usage.jsonl")


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout here")
def test_a_dump_can_be_written_into_a_pipe_and_through_a_link(tmp_path: Path) -> None:
    script = """
import sys
from usage_store import init_database
from usage_store.testing import dump_usage
database = init_database("usage.db")
dump_usage(database, "link.jsonl")
dump_usage(database, "/dev/stdout")
"""
    (tmp_path / "link.jsonl").symlink_to("target.jsonl")
    result = run_python("-c", script, cwd=tmp_path)
    assert result.stderr == ""
    assert json.loads(result.stdout).keys() == {"format", *TABLES}
    assert (tmp_path / "link.jsonl").is_symlink()
    assert _lines(tmp_path / "target.jsonl")[0] == {"format": 1}


MEMORY = """
import resource
from usage_store import UsageSession, UsageSnapshot, init_database
from usage_store.testing import dump_usage, load_usage
database = init_database("usage.db")
UsageSession.register("s")
UsageSnapshot.record_many({"session_id": "s", "snapshot_data": ["x" * 400_000], "timestamp": 1} for _ in range(75))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dump_usage(database, "usage.jsonl")
load_usage(database, "usage.jsonl")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, UsageSnapshot.select().count())
"""


def test_json_lines_of_30_megabytes_are_written_and_read_in_little_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    grown, count = run_python("-c", MEMORY, cwd=tmp_path).stdout.split()
    assert (int(count), int(grown) < 15_000) == (75, True)  # KiB
