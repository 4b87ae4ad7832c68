"""Every way of reading returns the text of its own row, while another compacted store is open and bound."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import peewee
import pytest
from peewee import JOIN, SQL, Case, Select, fn

from tests.support.snapshots import compact_at_once, new_store, plain_rows, record
from usage_store import UsageSession, UsageSnapshot, init_database
from usage_store.engines.sqlite.connection.open_file import open_database
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Database = peewee.SqliteDatabase

S: Any = UsageSnapshot
T: Any = UsageSession
A: Any = UsageSnapshot.alias()
NUMBERS = (0, 1, 2)


def text(word: str, number: int) -> str:
    return json.dumps({"from": word, "n": number})


def filled(path: Path, word: str) -> Database:
    """Create a store of three compacted snapshots. All stores of this file have the same references."""
    database = open_database(new_store(path))
    with database.bind_ctx(MODELS):
        record(*(text(word, number) for number in NUMBERS))
        assert compact_at_once(database) == len(NUMBERS)
    assert plain_rows(path) == set()
    return database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    """Provide a store that is read, while the models are bound to another store."""
    asked, other = filled(tmp_path / "asked.db", "asked"), filled(tmp_path / "other.db", "other")
    init_database(other)
    yield asked
    asked.close()
    other.close()


def texts(found: Any) -> list[str]:
    return [snapshot.snapshot_data for snapshot in found]


def made_in_bind_ctx(database: Database) -> list[str]:
    with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        query = S.select().order_by(S.id)
    return texts(query)


def read_lazily(database: Database) -> list[str]:
    rows = S.select().order_by(S.id).iterator(database)
    first = next(rows)
    init_database(S._meta.database)
    return [first.snapshot_data, *texts(rows)]


def in_ctx(ask: Callable[[], list[str]], database: Database) -> list[str]:
    with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False):
        return ask()


SUB = S.select(S.id, S.snapshot_data).alias("sub")
CTE = S.select(S.id, S.snapshot_data).cte("found")
NAMED = S.select(S.id, S.snapshot_data.alias("named")).alias("sub")
FIRST, REST = S.select(S.id, S.snapshot_data).where(S.id == 1), S.select(S.id, S.snapshot_data).where(S.id > 1)
JSON_FROM = "$.from"

# Each function returns the three texts in the order of their rows.
FORMS: dict[str, Callable[[Database], list[str]]] = {
    "bind": lambda db: texts(S.select().order_by(S.id).bind(db)),
    "execute": lambda db: texts(S.select().order_by(S.id).execute(db)),
    "bind_ctx": made_in_bind_ctx,
    "lazily": read_lazily,
    "alias": lambda db: texts(A.select().order_by(A.id).bind(db)),
    "alias, asked for its text": lambda db: texts(A.select().where(A.snapshot_data.contains("asked")).bind(db)),
    "alias, joined": lambda db: texts(S.select().join(A, on=(A.snapshot_data == S.snapshot_data)).bind(db)),
    "raw": lambda db: texts(S.raw("SELECT id, snapshot_data FROM usage_snapshots").bind(db)),
    "raw dicts": lambda db: [r["snapshot_data"] for r in S.raw("SELECT * FROM usage_snapshots").dicts().bind(db)],
    "join": lambda db: texts(S.select(S, T).join(T).bind(db)),
    "join from the other side": lambda db: texts(t.usagesnapshot for t in T.select(T, S).join(S).bind(db)),
    "outer join": lambda db: texts(t.usagesnapshot for t in T.select(T, S).join(S, JOIN.LEFT_OUTER).bind(db)),
    "dicts": lambda db: [row["snapshot_data"] for row in S.select().dicts().bind(db)],
    "tuples": lambda db: [row[2] for row in S.select().tuples().bind(db)],
    "namedtuples": lambda db: texts(S.select().namedtuples().bind(db)),
    "objects": lambda db: [o["snapshot_data"] for o in S.select(S.snapshot_data).objects(dict).bind(db)],
    "scalars": lambda db: list(S.select(S.snapshot_data).scalars(db)),
    "another name": lambda db: [s.named for s in S.select(S.id, S.snapshot_data.alias("named")).bind(db)],
    "iterator": lambda db: texts(S.select().iterator(db)),
    "get": lambda db: [S.select().where(S.id == n + 1).get(db).snapshot_data for n in NUMBERS],
    "get_by_id": partial(in_ctx, lambda: [S.get_by_id(n + 1).snapshot_data for n in NUMBERS]),
    "get by text": partial(in_ctx, lambda: [S.get(S.snapshot_data == text("asked", n)).snapshot_data for n in NUMBERS]),
    "filter": partial(in_ctx, lambda: texts(S.filter(snapshot_data__contains="asked"))),
    "backrefs": partial(in_ctx, lambda: texts(T.get().snapshots)),
    "with_related": partial(in_ctx, lambda: texts(T.select().with_related(T.snapshots)[0].snapshots)),
    "prefetch": lambda db: texts(T.select().bind(db).prefetch(S.select().bind(db))[0].snapshots),
    "sub-query": lambda db: texts(S.select(SUB.c.id, SUB.c.snapshot_data).from_(SUB).bind(db)),
    "sub-query, plain": lambda db: [
        r["snapshot_data"] for r in Select((SUB,), (SUB.c.snapshot_data,)).bind(db).dicts()
    ],
    "sub-query, asked for its text": lambda db: texts(
        S.select(SUB.c.snapshot_data).from_(SUB).where(SUB.c.snapshot_data.contains("asked")).bind(db)
    ),
    "sub-query, another name": lambda db: [t for (t,) in Select((NAMED,), (NAMED.c.named,)).bind(db).tuples()],
    "in": lambda db: texts(S.select().where(S.snapshot_data.in_(S.select(S.snapshot_data))).bind(db)),
    "select_from": lambda db: texts(S.select(S.id, S.snapshot_data).bind(db).select_from(SQL("*"))),
    "CTE": lambda db: texts(CTE.select_from(CTE.c.id, CTE.c.snapshot_data).bind(db).objects(S)),
    "union": lambda db: texts((FIRST | REST).order_by(S.snapshot_data).bind(db)),
    "union all": lambda db: [t for _, t in (FIRST + REST).tuples().bind(db)],
    "intersect": lambda db: texts((S.select() & S.select()).bind(db)),
    "except": lambda db: texts((S.select() - S.select().where(S.id > 3)).bind(db)),
    "distinct": lambda db: texts(S.select(S.snapshot_data).distinct().order_by(S.snapshot_data).bind(db)),
    "group_by": lambda db: texts(
        S.select(S.snapshot_data).group_by(S.snapshot_data).order_by(S.snapshot_data).bind(db)
    ),
    "having": lambda db: texts(S.select().group_by(S).having(S.snapshot_data.contains("asked")).bind(db)),
    "function": lambda db: [S.select(fn.MIN(S.snapshot_data)).where(S.id == n + 1).scalar(db) for n in NUMBERS],
    "window": lambda db: [
        t for (t,) in S.select(fn.MAX(S.snapshot_data).over(partition_by=[S.snapshot_data])).tuples().bind(db)
    ],
    "case": lambda db: [t for (t,) in S.select(Case(S.id, [(0, "no")], S.snapshot_data)).tuples().bind(db)],
    "cast": lambda db: [t.decode() for (t,) in S.select(S.snapshot_data.cast("BLOB")).tuples().bind(db)],
    "collate": lambda db: [t for (t,) in S.select(S.snapshot_data.collate("NOCASE")).tuples().bind(db)],
    "usage_json": lambda db: [t for (t,) in S.select(fn.usage_json(S.snapshot_data)).tuples().bind(db)],
    "json_extract": lambda db: texts(S.select().where(fn.json_extract(S.snapshot_data, JSON_FROM) == "asked").bind(db)),
    "contains": lambda db: texts(S.select().where(S.snapshot_data.contains("asked")).bind(db)),
    "ordered": lambda db: texts(S.select().order_by(S.snapshot_data.desc()).bind(db))[::-1],
    "returning": lambda db: texts(S.update(snapshot_type="config").returning(S).execute(db)),
    "returning what goes": lambda db: texts(S.delete().returning(S).execute(db)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_query_returns_the_texts_of_the_store_that_it_reads(store: Database, form: str) -> None:
    assert FORMS[form](store) == [text("asked", number) for number in NUMBERS]


def test_dicts_have_their_columns_in_order(store: Database) -> None:
    [row, *_] = S.select().dicts().bind(store)
    assert list(row) == ["id", "session", "snapshot_data", "snapshot_type", "timestamp"]


COMPUTED: dict[str, tuple[Any, Any]] = {
    "length": (fn.SUM(fn.LENGTH(S.snapshot_data)), 3 * len(text("asked", 0))),
    "sum": (fn.SUM(fn.json_extract(S.snapshot_data, "$.n")), 3),
    "max": (fn.MAX(S.snapshot_data), text("asked", 2)),
    "count": (fn.COUNT(S.snapshot_data.distinct()), 3),
    "concatenated": (fn.MAX(S.snapshot_data + "!"), text("asked", 2) + "!"),
}


@pytest.mark.parametrize("what", COMPUTED)
def test_sql_computes_with_the_texts(store: Database, what: str) -> None:
    expression, expected = COMPUTED[what]
    assert S.select(expression).scalar(store) == expected


def test_an_update_computes_with_the_texts(store: Database) -> None:
    S.update(snapshot_data=fn.json_set(S.snapshot_data, JSON_FROM, "updated")).where(S.id == 1).execute(store)
    S.insert_many({"id": number, "session": "s", "snapshot_data": {}} for number in (2, 3)).on_conflict(
        conflict_target=[S.id],
        update={S.snapshot_data: fn.json_set(S.snapshot_data, JSON_FROM, "upserted")},
        where=S.snapshot_data.contains('"n": 1'),
    ).execute(store)
    S.update(snapshot_data=S.snapshot_data).where(S.id == 3).execute(store)
    found = [json.loads(found) for found in texts(S.select().order_by(S.id).execute(store))]
    assert [(data["from"], data["n"]) for data in found] == [("updated", 0), ("upserted", 1), ("asked", 2)]


def test_an_index_on_json_inside_a_text_is_refused_because_compaction_would_break_it(store: Database) -> None:
    with pytest.raises(peewee.OperationalError, match="subqueries prohibited in index expressions"):
        store.execute(S.index(fn.json(S.snapshot_data), name="host_index"))


def test_rows_copied_by_a_query_have_their_texts(store: Database) -> None:
    copied = S.select(S.session, S.snapshot_data).order_by(S.id)
    assert S.insert_from(copied, [S.session, S.snapshot_data]).as_rowcount().execute(store) == 3
    assert store.execute_sql("SELECT snapshot_data FROM usage_snapshots WHERE id > 3 ORDER BY id").fetchall() == [
        (text("asked", number),) for number in NUMBERS
    ]


def test_the_rows_of_an_attached_store_have_its_texts(store: Database, tmp_path: Path) -> None:
    class Attached(UsageSnapshot):
        class Meta:
            table_name = "usage_snapshots"
            schema = "attached"

    other = filled(tmp_path / "third.db", "third")
    other.close()
    store.attach(str(tmp_path / "third.db"), "attached")
    query: Any = Attached.select().execute(store)
    assert texts(query) == [text("third", number) for number in NUMBERS]
