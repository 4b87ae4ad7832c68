"""Filling tables with keys: primary keys, UNIQUE, foreign keys of all kinds, circles, tables that are full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.filled_databases import checked, filled_rows, with_schema
from usage_store.errors import CannotFill
from usage_store.testing import fill

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick

PARENT = "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, UNIQUE (kind, name))"


@pytest.fixture(params=[True, False], ids=["enforced", "not enforced"])
def foreign_keys(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def of_children(path: Path, child: str, *, foreign_keys: bool) -> list[Any]:
    with with_schema(path, f"{child}; {PARENT}", foreign_keys=foreign_keys) as database:
        assert set(fill(database).values()) == {3}
        return checked(database, "b")


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        ("id INTEGER PRIMARY KEY AUTOINCREMENT", [1001, 1002, 1003]),
        ("id TEXT PRIMARY KEY", ["id 1", "id 2", "id 3"]),
        ("id VARCHAR(2) PRIMARY KEY", ["i1", "i2", "i3"]),
        ("id INT PRIMARY KEY", [1, 2, 3]),
        ("id REAL PRIMARY KEY", [1.5, 2.5, 3.5]),
        ("id BLOB PRIMARY KEY", [b"\x00\x01", b"\x00\x02", b"\x00\x03"]),
        ("id DATE PRIMARY KEY", ["2020-01-02", "2020-01-03", "2020-01-04"]),
        ("id TEXT COLLATE unicase PRIMARY KEY", ["id 1", "id 2", "id 3"]),
    ],
)
def test_primary_keys_differ(path: Path, columns: str, keys: list[Any]) -> None:
    assert [row[0] for row in filled_rows(path, f"CREATE TABLE t ({columns}, other TEXT)", "t")] == keys


def test_keys_of_a_table_without_rowid_and_of_several_columns_differ(path: Path) -> None:
    schema = "CREATE TABLE t (a BOOLEAN, b BOOLEAN, c TEXT, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID".replace(
        "BOOLEAN", "INTEGER CHECK (a IN (0, 1))", 1
    ).replace("BOOLEAN", "INTEGER CHECK (b IN (0, 1))")
    assert sorted(row[:2] for row in filled_rows(path, schema, "t", 4)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(
    "rule",
    [
        "CREATE UNIQUE INDEX u ON t (code COLLATE NOCASE)",
        "CREATE UNIQUE INDEX u ON t (lower(code))",
        "CREATE UNIQUE INDEX u ON t (code, other)",
        "CREATE UNIQUE INDEX u ON t (code) WHERE other IS NOT NULL",
        "CREATE UNIQUE INDEX u ON t (upper(code) || other)",
    ],
)
def test_unique_indexes_of_every_kind_are_obeyed(path: Path, rule: str) -> None:
    rows = filled_rows(path, f"CREATE TABLE t (code VARCHAR(3) NOT NULL, other INTEGER NOT NULL); {rule}", "t", 40)
    assert len(rows) == 40


def test_a_unique_generated_column_gets_values_that_differ(path: Path) -> None:
    schema = """CREATE TABLE t (code TEXT NOT NULL, folded TEXT GENERATED ALWAYS AS (lower(code)) VIRTUAL,
        twice TEXT AS (folded || folded) UNIQUE)"""
    assert len({row[0] for row in filled_rows(path, schema, "t", 300)}) == 300


def test_keys_that_rows_of_the_application_have_are_passed_over(path: Path) -> None:
    taken = ", ".join(f"('code {number}')" for number in range(50, 300))
    with with_schema(path, f"CREATE TABLE t (code TEXT PRIMARY KEY); INSERT INTO t VALUES {taken}") as database:
        assert fill(database) == {"t": 3}
        assert len(checked(database, "t")) == 253


def test_a_key_that_only_seems_to_be_full_is_an_error(path: Path) -> None:
    schema = "CREATE TABLE t (code VARCHAR(1) NOT NULL UNIQUE)"
    with with_schema(path, schema) as database:
        with pytest.raises(CannotFill, match=r"^t\.code: no row can be made up: UNIQUE constraint failed: t\.code;"):
            fill(database, 100)
        assert checked(database, "t") == []


def test_a_unique_yes_or_no_has_two_rows(path: Path) -> None:
    assert sorted(filled_rows(path, "CREATE TABLE t (b BOOLEAN NOT NULL UNIQUE)", "t")) == [(0,), (1,)]


def test_of_rows_that_a_partial_index_allows_once_only_one_is_made(path: Path) -> None:
    schema = """CREATE TABLE t (active INTEGER NOT NULL CHECK (active IN (0, 1)));
        CREATE UNIQUE INDEX u ON t (active) WHERE active"""
    assert sorted(filled_rows(path, schema, "t", 5)) == [(0,), (0,), (0,), (0,), (1,)]


def test_a_table_whose_keys_have_no_more_room_gets_fewer_rows(path: Path) -> None:
    schema = """CREATE TABLE settings (id INTEGER PRIMARY KEY CHECK (id = 1), title TEXT NOT NULL);
        CREATE TABLE kind (name TEXT PRIMARY KEY CHECK (name IN ('a', 'b')))"""
    with with_schema(path, schema) as database:
        assert fill(database) == {"kind": 2, "settings": 1}
        assert fill(database) == {"kind": 0, "settings": 0}
        with pytest.raises(
            CannotFill, match=r"^kind\.name: no row can be made up: UNIQUE constraint failed: kind.name;"
        ):
            fill(database, values={"kind.name": "a"})


@pytest.mark.parametrize("action", ["REPLACE", "IGNORE", "ROLLBACK", "FAIL"])
def test_rows_replace_none_whatever_the_table_says_about_conflicts(path: Path, action: str) -> None:
    schema = f"""CREATE TABLE t (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE ON CONFLICT {action});
        INSERT INTO t VALUES (1, 'code 6'), (2, 'code 7')"""
    with with_schema(path, schema) as database:
        assert fill(database, 5) == {"t": 5}
        assert [row[1] for row in checked(database, "t")] == [f"code {number}" for number in (6, 7, 3, 4, 5, 8, 9)]


@pytest.mark.parametrize(
    ("child", "keys"),
    [
        ("CREATE TABLE b (a INTEGER NOT NULL REFERENCES a)", [1001, 1001, 1002]),
        ("CREATE TABLE b (a INTEGER REFERENCES a (id))", [1001, 1001, None]),
        ("CREATE TABLE b (a INTEGER NOT NULL UNIQUE REFERENCES a)", [1001, 1002, 1003]),
        ("CREATE TABLE b (a INTEGER PRIMARY KEY REFERENCES a)", [1001, 1002, 1003]),
        ("CREATE TABLE b (a TEXT NOT NULL REFERENCES a (name))", ["name 1", "name 1", "name 2"]),
        ("CREATE TABLE b (a INTEGER NOT NULL REFERENCES A (ID) DEFERRABLE INITIALLY DEFERRED)", [1001, 1001, 1002]),
    ],
)
def test_a_foreign_key_has_a_parent_and_repeats_or_is_null_where_it_may(
    path: Path, child: str, keys: list[Any], *, foreign_keys: bool
) -> None:
    assert [row[0] for row in of_children(path, child, foreign_keys=foreign_keys)] == keys


def test_foreign_keys_of_several_columns_have_parents(path: Path, *, foreign_keys: bool) -> None:
    child = "CREATE TABLE b (k TEXT, n TEXT, FOREIGN KEY (k, n) REFERENCES a (kind, name))"
    assert of_children(path, child, foreign_keys=foreign_keys) == [
        *[("kind 1", "name 1")] * 2,
        (None, None),
    ]


def test_foreign_keys_that_share_a_column_agree(path: Path, *, foreign_keys: bool) -> None:
    schema = """CREATE TABLE tenant (id INTEGER PRIMARY KEY);
        CREATE TABLE user (tenant INTEGER REFERENCES tenant, nr INTEGER, PRIMARY KEY (tenant, nr));
        CREATE TABLE project (tenant INTEGER REFERENCES tenant, code TEXT, PRIMARY KEY (tenant, code));
        CREATE TABLE b (tenant INTEGER NOT NULL REFERENCES tenant, nr INTEGER NOT NULL, code TEXT NOT NULL,
            FOREIGN KEY (tenant, nr) REFERENCES user, FOREIGN KEY (tenant, code) REFERENCES project,
            PRIMARY KEY (tenant, nr, code))"""
    with with_schema(path, schema, foreign_keys=foreign_keys) as database:
        assert fill(database)["b"] > 1
        checked(database, "b")


def test_pairs_of_many_to_many_tables_differ(path: Path, *, foreign_keys: bool) -> None:
    schema = """CREATE TABLE x (id INTEGER PRIMARY KEY); CREATE TABLE y (id TEXT PRIMARY KEY);
        CREATE TABLE b (x INTEGER REFERENCES x, y TEXT REFERENCES y, PRIMARY KEY (x, y)) WITHOUT ROWID"""
    with with_schema(path, schema, foreign_keys=foreign_keys) as database:
        fill(database, 2, tables=["x", "y"])
        assert fill(database, 4, tables=["b"]) == {"b": 4}
        assert len(set(checked(database, "b"))) == 4
        assert fill(database, 3) == {"b": 3, "x": 3, "y": 3}


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("id INTEGER PRIMARY KEY, up INTEGER REFERENCES t", [(1001, None), (1002, 1001), (1003, 1001)]),
        ("id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES t", [(1001, 1001), (1002, 1001), (1003, 1002)]),
        ("id TEXT PRIMARY KEY, up TEXT REFERENCES t", [("id 1", None), ("id 2", "id 1"), ("id 3", "id 1")]),
        (
            "id INTEGER PRIMARY KEY, up INTEGER REFERENCES t, CHECK (up < id)",
            [(1001, None), (1002, 1001), (1003, 1002)],
        ),
        (
            "id INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES t, CHECK (up <> id)",
            [(1001, 1002), (1002, 1001), (1003, 1001)],
        ),
    ],
)
def test_a_table_that_refers_to_itself_has_a_root_where_it_may(
    path: Path, columns: str, rows: list[Any], *, foreign_keys: bool
) -> None:
    with with_schema(path, f"CREATE TABLE t ({columns})", foreign_keys=foreign_keys) as database:
        fill(database)
        assert sorted(checked(database, "t")) == rows


@pytest.mark.parametrize("null", ["", "NOT NULL"])
def test_tables_that_refer_to_each_other_in_a_circle_are_filled(path: Path, null: str, *, foreign_keys: bool) -> None:
    schema = f"""CREATE TABLE x (id INTEGER PRIMARY KEY, y INTEGER NOT NULL REFERENCES y);
        CREATE TABLE y (id INTEGER PRIMARY KEY, z TEXT {null} REFERENCES z (name));
        CREATE TABLE z (name TEXT NOT NULL UNIQUE, x INTEGER NOT NULL REFERENCES x)"""
    with with_schema(path, schema, foreign_keys=foreign_keys) as database:
        assert fill(database) == {"x": 3, "y": 3, "z": 3}
        assert {name for _, name in checked(database, "y")} > {"name 1"}


def test_parents_that_are_not_filled_are_used_and_missed_where_there_are_none(
    path: Path, *, foreign_keys: bool
) -> None:
    schema = PARENT + "; CREATE TABLE b (a INTEGER NOT NULL REFERENCES a); CREATE TABLE c (a INTEGER REFERENCES a)"
    with with_schema(path, schema, foreign_keys=foreign_keys) as database:
        assert fill(database, tables=["c"]) == {"c": 3}
        with pytest.raises(
            CannotFill, match=r"^b: no row can be made up: a must refer to a row of a, which has no rows; fill it, too$"
        ):
            fill(database, tables=["b"])
        database.execute_sql("INSERT INTO a VALUES (7, 'n', 'k')")
        assert fill(database, tables=["b"]) == {"b": 3}
        assert checked(database, "b") == [(7,)] * 3


def test_given_values_without_a_parent_are_refused(path: Path, *, foreign_keys: bool) -> None:
    with with_schema(
        path, PARENT + "; CREATE TABLE b (a INTEGER NOT NULL REFERENCES a)", foreign_keys=foreign_keys
    ) as database:
        with pytest.raises(
            CannotFill, match=r"^b\.a: no row can be made up: b has rows that refer to missing rows in a;"
        ):
            fill(database, values={"b.a": 9})
        assert checked(database, "a") == checked(database, "b") == []
        assert fill(database, values={"a.id": [7, 8, 9], "b.a": 9}) == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (
            "CREATE TABLE b (a INTEGER NOT NULL REFERENCES nowhere)",
            "a must refer to a row of nowhere, which is no table$",
        ),
        ("CREATE TABLE b (a TEXT NOT NULL REFERENCES a (kind))", 'foreign key mismatch - "b" referencing "a"$'),
    ],
)
def test_a_foreign_key_that_nothing_can_satisfy_is_named(path: Path, child: str, reason: str) -> None:
    with (
        with_schema(path, f"{PARENT}; {child}") as database,
        pytest.raises(CannotFill, match=f"^[ab]: no row .*: {reason}"),
    ):
        fill(database)


def test_orphans_that_were_there_before_do_not_matter(path: Path) -> None:
    schema = f"{PARENT}; CREATE TABLE b (a INTEGER NOT NULL REFERENCES a); INSERT INTO b VALUES (5)"
    with with_schema(path, schema, foreign_keys=False) as database:
        assert fill(database) == {"a": 3, "b": 3}


@pytest.mark.parametrize("last", [2**63 - 1, 2**63 - 10])
def test_the_largest_key_may_be_taken(path: Path, last: int) -> None:
    with with_schema(path, f"{PARENT}; INSERT INTO a VALUES ({last}, 'n', 'k')") as database:
        assert fill(database) == {"a": 3}


def test_rows_that_a_partial_index_leaves_out_have_the_same_key(path: Path) -> None:
    schema = """CREATE TABLE t (mail TEXT NOT NULL, gone DATETIME);
        CREATE UNIQUE INDEX u ON t (mail) WHERE gone IS NULL"""
    first, second, third = filled_rows(path, schema, "t")
    assert (first[0], third[1]) == (second[0], None)


def test_a_key_that_has_counted_to_nothing_starts_like_a_new_one(path: Path) -> None:
    with with_schema(path, "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)") as database:
        database.execute_sql("INSERT INTO sqlite_sequence VALUES ('t', NULL)")
        assert fill(database) == {"t": 3}
        assert checked(database, "t") == [(1001,), (1002,), (1003,)]
