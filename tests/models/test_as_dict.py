"""`as_dict()` returns values for json.dumps(), and times can be read as aware datetimes."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from playhouse.shortcuts import model_to_dict

from tests.support.databases import raw
from tests.support.snapshots import TEXTS, compact_at_once, record
from usage_store import UsageConfig, UsageSession, UsageSnapshot, reset_usage_config, update_usage_config
from usage_store.errors import DamagedSnapshot, InvalidValue

if TYPE_CHECKING:
    import peewee

    from tests.support.databases import Target

pytestmark = pytest.mark.quick

S: Any = UsageSnapshot
SECONDS = 1_752_856_654
MOMENT = datetime(2025, 7, 18, 16, 37, 34, tzinfo=UTC)
MILLISECONDS = 1_752_856_654_907


@pytest.fixture
def path(usage_database: peewee.Database, store_target: Target) -> Target:  # noqa: ARG001
    reset_usage_config()
    UsageSession.register("s")
    return store_target


def test_a_snapshot_is_given_with_its_data_parsed(path: Target) -> None:  # noqa: ARG001
    snapshot = UsageSnapshot.record("s", '{"tokens": 7458, "list": [1.5, null, "é"]}', "config", MILLISECONDS)
    expected = {
        "id": snapshot.id,
        "session_id": "s",
        "data": {"tokens": 7458, "list": [1.5, None, "é"]},
        "snapshot_type": "config",
        "timestamp": SECONDS,
    }
    assert snapshot.as_dict() == expected
    assert S.get().as_dict() == expected
    assert list(S.get().as_dict()) == list(expected)
    assert json.loads(json.dumps(S.get().as_dict())) == expected


def test_a_configuration_and_a_session_are_given_by_their_columns(path: Target) -> None:  # noqa: ARG001
    update_usage_config({"plan": "max5", "reset_hour": 7})
    for config in (UsageConfig.active(), UsageConfig.get()):
        assert config is not None
        found = json.loads(json.dumps(config.as_dict()))
        assert list(found) == [field.name for field in UsageConfig._meta.sorted_fields]
        assert found["plan"] == "max5"
        assert found["reset_hour"] == 7
        assert found["custom_limit_tokens"] is None
        assert found["is_active"] is True
        assert found["created_at"] == config.created_at
    session = UsageSession.get()
    assert json.loads(json.dumps(session.as_dict())) == {"session_id": "s", "created_at": session.created_at}


def test_a_column_that_was_not_selected_is_left_out(path: Target) -> None:  # noqa: ARG001
    UsageSnapshot.record("s", {}, timestamp=SECONDS)
    assert S.select(S.timestamp, S.session).get().as_dict() == {"session_id": "s", "timestamp": SECONDS}
    assert UsageConfig.select(UsageConfig.plan).get().as_dict() == {"plan": "custom"}


@pytest.mark.parametrize("compacted", [False, True])
def test_any_stored_value_becomes_json(usage_database: peewee.Database, path: Target, *, compacted: bool) -> None:  # noqa: ARG001
    ids = record(*TEXTS, "1e999", '"\\ud800"', "1" * 4000)
    if compacted:
        assert compact_at_once(usage_database) == len(ids)
    for snapshot in UsageSnapshot.between(newest_first=False):
        dumped = json.loads(json.dumps(snapshot.as_dict()))
        assert dumped["data"] == json.loads(snapshot.snapshot_data) == snapshot.data
    assert math.isinf(UsageSnapshot.get_by_id(ids[-3]).data)  # as json.loads reads it


@pytest.mark.only_on("sqlite", "texts that are no JSON")
def test_ids_and_texts_that_are_not_utf8_are_decoded_as_by_os_fsdecode(path: Target) -> None:
    with raw(path) as other:
        other.execute("INSERT INTO usage_sessions (session_id) VALUES (CAST(x'ff61' AS TEXT))")
        other.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES (CAST(x'ff61' AS TEXT), '5')")
        other.execute("INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES (x'ff62', '6')")
        other.execute("UPDATE usage_config SET timezone = CAST(x'ff63' AS TEXT)")
    found = [snapshot.as_dict() for snapshot in (*S.select().order_by(S.id), *S.between(newest_first=False))]
    assert [json.loads(json.dumps(one))["session_id"] for one in found] == 2 * [
        os.fsdecode(b"\xffa"),
        os.fsdecode(b"\xffb"),
    ]
    assert json.loads(json.dumps(UsageConfig.get().as_dict()))["timezone"] == os.fsdecode(b"\xffc")
    odd = UsageSession.select().order_by(UsageSession.session_id.desc()).get()
    assert json.loads(json.dumps(odd.as_dict()))["session_id"] == os.fsdecode(b"\xffa")


@pytest.mark.only_on("sqlite", "texts that are no JSON")
def test_a_damaged_snapshot_raises_the_same_error_as_its_data(path: Target) -> None:
    with raw(path) as other:
        for text in ("CAST(x'22ff22' AS TEXT)", "'{oops'"):
            other.execute(f"INSERT INTO usage_snapshots (session_id, snapshot_data) VALUES ('s', {text})")
    damaged, no_json = S.select().order_by(S.id)
    with pytest.raises(DamagedSnapshot, match=r"^snapshot 1: its text is not UTF-8"):
        damaged.as_dict()
    with pytest.raises(InvalidValue, match=r"^snapshot_data: "):
        no_json.as_dict()
    assert S.select(S.id, S.timestamp).order_by(S.id).get().as_dict()["id"] == 1


def test_an_unsaved_model_has_the_values_that_would_be_stored() -> None:
    snapshot = UsageSnapshot(session=UsageSession(session_id="s"), snapshot_data="[1]", timestamp=MOMENT)
    expected = {"session_id": "s", "data": [1], "snapshot_type": "stats", "timestamp": SECONDS}
    assert json.loads(json.dumps(snapshot.as_dict())) == expected
    snapshot.snapshot_type = "stat"
    with pytest.raises(InvalidValue, match=r"^snapshot_type: 'stat'"):
        snapshot.as_dict()


@pytest.mark.parametrize("document", [{"tokens": [1, "é"]}, [], 5, 0.5, True])
def test_an_object_that_was_assigned_is_the_data_before_and_after_it_is_saved(path: Target, document: Any) -> None:  # noqa: ARG001
    snapshot = UsageSnapshot(session="s", snapshot_data=document)
    assert snapshot.data == snapshot.as_dict()["data"] == document
    snapshot.save()
    assert snapshot.data == snapshot.as_dict()["data"] == S.get().data == document
    snapshot.snapshot_data = [document]
    assert snapshot.data == snapshot.as_dict()["data"] == [document]


def test_an_object_that_cannot_be_stored_is_named_as_by_save() -> None:
    snapshot = UsageSnapshot(session="s", snapshot_data={"when": MOMENT})
    for read in (snapshot.as_dict, lambda: snapshot.data, snapshot.save):
        with pytest.raises(InvalidValue, match=r"^snapshot_data: .+ not JSON serializable"):
            read()


def test_times_can_be_read_as_aware_datetimes(path: Target) -> None:
    with raw(path) as other:
        other.execute("UPDATE usage_config SET created_at = ?, updated_at = 0", (SECONDS,))
        other.execute("UPDATE usage_sessions SET created_at = ?", (SECONDS,))
    config = UsageConfig.active()
    assert config is not None
    for moment in (config.created_at_utc, UsageSession.get().created_at_utc):
        assert moment is not None
        assert (moment, moment.tzinfo) == (MOMENT, UTC)
    assert config.updated_at_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert UsageConfig().created_at_utc is UsageConfig().updated_at_utc is UsageSession().created_at_utc is None
    assert UsageConfig.select(UsageConfig.id).get().created_at_utc is None


@pytest.mark.parametrize("number", [MILLISECONDS * 1000, -(2**62), 253_402_300_800])
def test_a_number_that_is_not_a_time_raises_an_error_that_names_its_column(path: Target, number: int) -> None:
    with raw(path) as other:
        other.execute("UPDATE usage_config SET created_at = ?", (number,))
        other.execute("UPDATE usage_config SET updated_at = ?", (number,))
        other.execute("UPDATE usage_sessions SET created_at = ?", (number,))
    config, session = UsageConfig.get(), UsageSession.get()
    for model, name in ((config, "created_at"), (config, "updated_at"), (session, "created_at")):
        with pytest.raises(InvalidValue, match=rf"^{name}: {number} is not allowed; allowed: seconds since 1970"):
            getattr(model, f"{name}_utc")
        assert model.as_dict()[name] == number


def test_peewee_s_own_dict_of_a_model_is_unchanged(path: Target) -> None:  # noqa: ARG001
    UsageSnapshot.record("s", "[1]", timestamp=SECONDS)
    snapshot = S.get()
    session = {"session_id": "s", "created_at": UsageSession.get().created_at}
    expected = {"id": 1, "session": session, "snapshot_data": "[1]", "snapshot_type": "stats", "timestamp": SECONDS}
    assert model_to_dict(snapshot) == expected
    assert model_to_dict(snapshot, recurse=False) == {**expected, "session": "s"}
    only = {S.session_id, UsageSession.session_id, S.id}  # not what other models refer to sessions
    with_snapshots = model_to_dict(snapshot.session, backrefs=True, only=only)
    assert with_snapshots == {"session_id": "s", "snapshots": [{"id": 1}]}
    assert model_to_dict(UsageConfig.get()) == UsageConfig.get().as_dict()
