"""Any JSON text is read as it was stored, also after a compaction and a rollback.

Only texts that Python can read are stored.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import peewee
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tests.support.json_texts import DEEP, JSON_TEXTS, VALUES, mutated, nested
from tests.support.programs import ROUNDS
from tests.support.snapshots import compact_old, plain_rows, record, texts_in
from usage_store import UsageSession, UsageSnapshot, register_usage_json
from usage_store.errors import InvalidValue
from usage_store.migrate import MigrationRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.databases import Target

DIGITS = 4300  # of an int, at most, that Python reads
reuses_a_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def refuse(name: str) -> NoReturn:
    raise ValueError(name)


def is_json(text: str) -> bool:
    """Return whether Python can read a text as JSON."""
    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


@pytest.fixture
def path(usage_database: peewee.Database, store_target: Target) -> Target:
    if isinstance(usage_database, peewee.SqliteDatabase):
        register_usage_json(usage_database.connection())
    UsageSession.register("s")
    return store_target


def emptied() -> None:
    """Delete the rows of the last example."""
    UsageSnapshot.delete().execute()


def read_in_all_ways(database: peewee.Database) -> Iterator[dict[int, str]]:
    yield {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("s")}
    yield {row.id: row.snapshot_data for row in UsageSnapshot.rows_of_session("s")}
    yield {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.select()}
    yield dict(database.execute_sql("SELECT id, usage_json(snapshot_data) FROM usage_snapshots").fetchall())


def read_back(database: peewee.Database, path: Target, expected: dict[int, str]) -> None:
    """Check that texts are read as they were stored: before and after a compaction, and after a rollback."""
    assert plain_rows(path) == set(expected)
    assert all(found == expected for found in read_in_all_ways(database))
    if isinstance(path, str):
        return  # nothing is compacted there
    assert compact_old() == len(expected)
    assert plain_rows(path) == set()
    assert all(found == expected for found in read_in_all_ways(database))
    runner = MigrationRunner(database)
    runner.rollback(1)
    assert dict(texts_in(path)) == {row: text.encode() for row, text in expected.items()}
    assert plain_rows(path) == set(expected)
    runner.migrate()


def check_texts(database: peewee.Database, path: Target, texts: list[str]) -> None:
    emptied()
    expected = dict(zip(record(*texts), texts, strict=True))
    for snapshot in UsageSnapshot.of_session("s"):
        assert repr(snapshot.data) == repr(json.loads(expected[snapshot.id]))  # 1 is not 1.0, and 1e999 infinite
    read_back(database, path, expected)


FEW = settings(reuses_a_database, max_examples=25)


@pytest.mark.quick
@FEW
@given(texts=st.lists(JSON_TEXTS, min_size=1, max_size=8))
def test_any_text_that_is_json_is_read_back_byte_for_byte(
    usage_database: peewee.Database, path: Target, texts: list[str]
) -> None:
    check_texts(usage_database, path, texts)


@pytest.mark.parametrize("shells", [("[", "]"), ('{"a":', "}"), (" [ ", " ] ")])
def test_a_text_that_is_nested_deeply_is_read_back_byte_for_byte(
    usage_database: peewee.Database, path: Target, shells: tuple[str, str]
) -> None:
    check_texts(usage_database, path, [nested("1.50", shells, depth) for depth in (1, DEEP - 1, DEEP)])


@FEW
@given(values=st.lists(VALUES, min_size=1, max_size=8))
def test_any_value_is_read_back_as_it_was(usage_database: peewee.Database, path: Target, values: list[Any]) -> None:
    emptied()
    ids = record(*({"value": value} for value in values))
    expected = {snapshot.id: snapshot.snapshot_data for snapshot in UsageSnapshot.of_session("s")}
    read_back(usage_database, path, expected)
    for row, value in zip(ids, values, strict=True):
        assert repr(UsageSnapshot.get_by_id(row).data) == repr({"value": value})  # 0.0 is not 0, nor -0.0


def check_agreement(text: str) -> None:
    """Check that a text is stored, alone and in bulk, if and only if Python can read it."""
    emptied()
    expected = is_json(text)
    event("JSON" if expected else "no JSON")
    if expected:
        assert UsageSnapshot.record("s", text).snapshot_data == text
        assert UsageSnapshot.record_many([{"session_id": "s", "snapshot_data": text}]) == 1
        assert [snapshot.snapshot_data for snapshot in UsageSnapshot.select()] == [text] * 2
    else:
        check_refusal(text)


def check_refusal(text: Any) -> None:
    good = {"session_id": "s", "snapshot_data": "[]"}
    with pytest.raises(InvalidValue, match=r"^snapshot_data: ") as caught:
        UsageSnapshot.record("s", text)
    assert caught.value.field == "snapshot_data"
    with pytest.raises(InvalidValue, match=r"^snapshot 2: snapshot_data: ") as caught:
        UsageSnapshot.record_many([good, good, good | {"snapshot_data": text}, good])
    assert "\n" not in str(caught.value)
    assert UsageSnapshot.select().count() == 0


@settings(reuses_a_database, max_examples=150)
@given(text=mutated())
@example(text="\ufeff[]")
@example(text="[1]\0")
@example(text='["\x1f"]')
@example(text="-0")
@example(text="-01")
@example(text="1E400")
@example(text="[1_000]")
def test_a_mutated_text_is_stored_if_and_only_if_python_reads_it(path: Target, text: str) -> None:  # noqa: ARG001
    check_agreement(text)


@pytest.mark.long
@settings(reuses_a_database, max_examples=350 * ROUNDS)
@given(text=mutated() | st.text(st.sampled_from('[]{},:"\\0123456789.eE+-tfn ul\t\x00'), max_size=12))
def test_more_mutated_texts_are_stored_if_and_only_if_python_reads_them(path: Target, text: str) -> None:  # noqa: ARG001
    check_agreement(text)


@settings(reuses_a_database, max_examples=150)
@given(
    before=st.integers(0, 2 * DIGITS),
    digits=st.integers(DIGITS - 2, DIGITS + 2),
    after=st.sampled_from(["", ".5", "e5", "E-5", " "]),
    sign=st.sampled_from(["", "-"]),
)
def test_a_long_number_is_stored_if_and_only_if_python_reads_it(
    path: Target,  # noqa: ARG001
    before: int,
    digits: int,
    after: str,
    sign: str,
) -> None:
    check_agreement(f'{{"a":{" " * before}{sign}{"7" * digits}{after}}}')


HUGE = 100_001
REFUSED = [
    *('"\ud800"', '{"\udfff": 1}', "\ud83d", '["\ud83d\ude00"]'),
    *("\0", '"\0"', "[1\0]", "[1]\0", "\0[1]", '{"a\0": 1}', "[1]\0garbage"),
    *("1" * 5000, "-" + "1" * 5000, f'{{"a": [{"9" * 5000}]}}', "[" + " " * 4299 + "1" * 4301 + "]"),
    *(
        nested("", ("[", "]"), HUGE),
        nested("1", ('{"a":', "}"), HUGE),
        "[" * 499,
        "[" * 1000,
        "[" * HUGE,
        "[" * HUGE + "]",
    ),
    *("NaN", "[Infinity]", '{"a": -Infinity}'),
]


@pytest.mark.sample
@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_back_is_refused_and_nothing_is_stored(path: Target, text: str) -> None:  # noqa: ARG001
    check_refusal(text)


REASONS = [
    ("[NaN]", "NaN is not JSON"),
    ("[1,]", "line 1 column "),
    ("1" * 5000, "4300"),
    (nested("", ("[", "]"), HUGE), "not nested this deeply"),
    ('"\ud800"', "surrogates not allowed"),
    ("[1]\0", "Extra data"),
]


@pytest.mark.parametrize(("text", "reason"), REASONS, ids=range(len(REASONS)))
def test_a_refusal_says_why(path: Target, text: str, reason: str) -> None:  # noqa: ARG001
    with pytest.raises(InvalidValue, match=reason):
        UsageSnapshot.record("s", text)


@pytest.mark.sample
@pytest.mark.parametrize("depth", [499, 501, 900, 990, 1001, 1500, 1999, 2001, 9000])
@pytest.mark.parametrize("shells", [("[", "]"), ('{"a":', "}")])
def test_stored_texts_are_never_nested_too_deeply_for_python(path: Target, shells: tuple[str, str], depth: int) -> None:
    text = nested("1", shells, depth)
    try:
        snapshot = UsageSnapshot.record("s", text)
    except InvalidValue:
        assert depth > DEEP
        assert plain_rows(path) == set()
    else:
        assert snapshot.snapshot_data == text
        assert json.dumps(snapshot.data, separators=(",", ":")) == text


@pytest.mark.long
@settings(FEW, max_examples=10 * ROUNDS)
@given(texts=st.lists(JSON_TEXTS, min_size=10, max_size=60))
def test_many_texts_are_read_back_byte_for_byte(
    usage_database: peewee.Database, path: Target, texts: list[str]
) -> None:
    check_texts(usage_database, path, texts)
