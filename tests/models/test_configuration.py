"""The active configuration: defaults, partial updates, damaged fields and refused values."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

import peewee
import pytest

from tests.support.databases import ignore_checks, raw, refusals
from tests.support.driver import sqlite3
from tests.support.processes import at_once, meet
from tests.support.programs import TIMEOUT, printed
from usage_store import UsageConfig, get_usage_config, init_database, reset_usage_config, update_usage_config
from usage_store.errors import InvalidValue, NoActiveConfiguration, UnknownField

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import Target


pytestmark = pytest.mark.quick

NAMES = ["plan", "custom_limit_tokens", "view", "timezone", "time_format", "theme", "refresh_rate"]
NAMES += ["refresh_per_second", "reset_hour"]
DEFAULTS = dict(zip(NAMES, ("custom", None, "realtime", "auto", "auto", "auto", 10, 0.75, None), strict=True))
CHANGED = dict(zip(NAMES, ("max20", 44_000, "monthly", "Europe/Berlin", "24h", "classic", 60, 20.0, 0), strict=True))
DAMAGED = dict(zip(NAMES, ("gold", -5, "hourly", "Mars/Olympus", "36h", "neon", 9000, 99.5, 24), strict=True))
REFUSED = [
    *((name, value) for name in ("refresh_rate", "reset_hour", "custom_limit_tokens") for value in (True, False)),
    *(("refresh_rate", value) for value in (0, 61, -1, 10.0, 10.5, "10", None, math.nan, math.inf, 10**400)),
    *(("reset_hour", value) for value in (-1, 24, 5.0, "5", math.nan)),
    *(("custom_limit_tokens", value) for value in (0, -5, 2**63, 1000.0, "1000")),
    *(("refresh_per_second", value) for value in (0.09, 20.1, True, None, "1", math.nan, -math.inf, 10**400)),
    *(("timezone", value) for value in ("", "Mars/Olympus", "Europe", "../etc", "a\0b", "x" * 999, "\ud800", None, 1)),
    *((name, value) for name in ("plan", "view", "time_format", "theme") for value in ("", "AUTO", None, ["pro"])),
]


@pytest.fixture
def writer(usage_database: peewee.Database, store_target: Target) -> Iterator[Any]:  # noqa: ARG001
    """A connection of another program to the same database. It writes raw SQL and can ignore the CHECKs."""
    with raw(store_target) as connection:
        yield connection


def active() -> UsageConfig:
    config = get_usage_config()
    assert config is not None
    return config


def fields(config: UsageConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in DEFAULTS}


def rows(connection: Any) -> list[Any]:
    return list(connection.execute("SELECT * FROM usage_config ORDER BY id"))


def damage(writer: Any, name: str, value: object) -> None:
    ignore_checks(writer)
    writer.execute(f"UPDATE usage_config SET {name} = ?", (value,))


def test_a_fresh_database_has_the_defaults_active(writer: Any) -> None:
    config = active()
    assert fields(config) == DEFAULTS
    assert config.is_active is True
    assert abs(time.time() - config.created_at) < 86_400  # it is a copy of the store that this run has made first
    assert config.updated_at == config.created_at
    assert len(rows(writer)) == 1


@pytest.mark.parametrize(("name", "value"), CHANGED.items())
@pytest.mark.usefixtures("usage_database")
def test_an_update_changes_the_named_field_and_no_other(name: str, value: Any) -> None:
    assert update_usage_config({name: value}) is True
    assert fields(active()) == DEFAULTS | {name: value}


@pytest.mark.usefixtures("usage_database")
def test_whole_numbers_come_back_as_the_columns_have_them() -> None:
    assert update_usage_config({"refresh_per_second": 1, "refresh_rate": 1, "custom_limit_tokens": 2**63 - 1}) is True
    config = active()
    assert [type(value) for value in (config.refresh_per_second, config.refresh_rate)] == [float, int]
    assert config.custom_limit_tokens == 2**63 - 1


def test_an_empty_update_changes_nothing_and_returns_false(writer: Any) -> None:
    before = rows(writer)
    assert update_usage_config({}) is False
    assert rows(writer) == before


def test_a_reset_keeps_the_id_and_the_creation_time(writer: Any) -> None:
    update_usage_config(CHANGED)
    writer.execute("UPDATE usage_config SET id = 7, created_at = 1000, updated_at = 1000")
    assert fields(active()) == CHANGED
    assert reset_usage_config() is True
    config = active()
    assert fields(config) == DEFAULTS
    assert (config.id, config.created_at) == (7, 1000)
    assert abs(time.time() - config.updated_at) < 600


@pytest.mark.parametrize("name", [*CHANGED, "is_active"])
def test_updated_at_also_changes_when_other_programs_write(writer: Any, name: str) -> None:
    writer.execute("UPDATE usage_config SET created_at = 1000, updated_at = 1000")
    writer.execute(f"UPDATE usage_config SET {name} = ?", (CHANGED.get(name, 0),))
    [(created_at, updated_at)] = writer.execute("SELECT created_at, updated_at FROM usage_config")
    assert created_at == 1000
    assert abs(time.time() - updated_at) < 600


def test_saving_a_row_writes_only_what_was_set_on_it(writer: Any) -> None:
    config = active()
    damage(writer, "refresh_rate", 9000)
    writer.execute("UPDATE usage_config SET theme = 'dark'")
    config.plan = "pro"
    config.save()
    [row] = writer.execute("SELECT plan, theme, refresh_rate FROM usage_config")
    assert row == ("pro", "dark", 9000)


def _own_field(path: Target, name: str, values: list[Any]) -> list[Any]:
    database = init_database(path, timeout=TIMEOUT)
    meet()
    seen = []
    for value in values:
        assert update_usage_config({name: value})
        seen.append(getattr(active(), name))
    database.close()
    return seen


def test_partial_updates_of_two_processes_do_not_lose_each_other(store_target: Target) -> None:
    path = store_target
    rates = [1 + number % 60 for number in range(150)]
    hours = [number % 24 for number in range(150)]
    work = [(_own_field, path, "refresh_rate", rates), (_own_field, path, "reset_hour", hours)]
    assert at_once(work) == [rates, hours]


@pytest.mark.parametrize(("name", "value"), DAMAGED.items())
def test_a_damaged_field_reads_as_its_default_with_one_warning(
    writer: Any, caplog: pytest.LogCaptureFixture, name: str, value: Any
) -> None:
    update_usage_config(CHANGED)
    damage(writer, name, value)
    before = rows(writer)
    assert fields(active()) == CHANGED | {name: DEFAULTS[name]}
    [record] = caplog.records
    assert (record.name, record.levelno) == ("usage_store", logging.WARNING)
    assert f"{name} {value!r}" in record.getMessage()
    assert rows(writer) == before


def test_one_warning_names_all_damaged_fields(writer: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in DAMAGED.items():
        damage(writer, name, value)
    assert fields(active()) == DEFAULTS
    [record] = caplog.records
    assert all(name in record.getMessage() for name in DEFAULTS)


@pytest.mark.only_on("sqlite", "texts that are not UTF-8")
@pytest.mark.parametrize("name", ["plan", "timezone"])
def test_text_that_is_not_utf8_counts_as_damage_too(writer: Any, caplog: pytest.LogCaptureFixture, name: str) -> None:
    writer.execute("PRAGMA ignore_check_constraints = ON")
    writer.execute(f"UPDATE usage_config SET {name} = CAST(x'ff' AS TEXT)")
    assert fields(active()) == DEFAULTS
    assert len(caplog.records) == 1


@pytest.mark.only_on("sqlite", "texts that are not UTF-8")
def test_a_host_that_reads_texts_as_bytes_also_gets_the_configuration(
    usage_database: peewee.Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert update_usage_config({"plan": "max5", "timezone": "Europe/Berlin"})
    usage_database.connection().text_factory = bytes
    assert (active().plan, active().timezone, active().theme) == ("max5", "Europe/Berlin", "auto")
    assert caplog.records == []


@pytest.mark.parametrize("mended", [CHANGED, DEFAULTS])
def test_a_damaged_row_can_be_mended(writer: Any, caplog: pytest.LogCaptureFixture, mended: dict[str, Any]) -> None:
    for name, value in DAMAGED.items():
        damage(writer, name, value)
    assert update_usage_config(mended) is True
    assert fields(active()) == mended
    assert not caplog.records


@pytest.mark.sample
@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda part: repr(part)[:24])
def test_a_value_that_the_field_does_not_allow_is_refused(writer: Any, name: str, value: Any) -> None:
    before = rows(writer)
    good = "plan" if name == "theme" else "theme"
    with pytest.raises(InvalidValue) as caught:
        UsageConfig.update_active({good: CHANGED[good], name: value})
    assert caught.value.field == name
    assert caught.value.value is value
    assert caught.value.allowed in str(caught.value)
    assert rows(writer) == before


@pytest.mark.parametrize("name", ["id", "created_at", "updated_at", "is_active", "Plan", "", None, 5])
def test_a_field_that_callers_must_not_change_is_refused(writer: Any, name: Any) -> None:
    before = rows(writer)
    with pytest.raises(UnknownField, match="plan, custom_limit_tokens, view") as caught:
        UsageConfig.update_active({"plan": "pro", name: 1})
    assert caught.value.field == name
    assert rows(writer) == before


@pytest.mark.only_on("sqlite", "assigned values")
@pytest.mark.parametrize(("name", "value"), [("refresh_rate", 10.5), ("reset_hour", 5.5), ("refresh_rate", "ten")])
def test_the_database_itself_refuses_other_types(writer: Any, name: str, value: Any) -> None:
    with pytest.raises(refusals()):
        writer.execute(f"UPDATE usage_config SET {name} = ?", (value,))


def test_at_most_one_configuration_is_active(writer: Any) -> None:
    writer.execute("INSERT INTO usage_config (plan, is_active) VALUES ('pro', 0), ('max5', 0)")
    on_a_file = isinstance(writer, sqlite3.Connection)
    says = r"usage_config\.is_active" if on_a_file else "usage_config"
    with pytest.raises(sqlite3.IntegrityError if on_a_file else refusals(), match=says):
        writer.execute("UPDATE usage_config SET is_active = 1 WHERE plan = 'pro'")
    with pytest.raises(peewee.IntegrityError):
        UsageConfig.create(plan="pro")
    assert update_usage_config({"view": "daily"}) is True
    views = [view for (view,) in writer.execute("SELECT view FROM usage_config ORDER BY id")]
    assert views == ["daily", "realtime", "realtime"]


def test_without_an_active_configuration_nothing_is_read_or_changed(
    writer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    writer.execute("UPDATE usage_config SET is_active = 0")
    before = rows(writer)
    assert get_usage_config() is None
    with pytest.raises(NoActiveConfiguration, match=r"reset_usage_config\(\) makes one active"):
        UsageConfig.update_active({"plan": "pro"})
    assert not caplog.records
    assert update_usage_config({"plan": "pro"}) is False
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert rows(writer) == before


def test_a_damaged_field_warns_once_and_again_when_it_is_damaged_in_another_way(
    writer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for value in ("Mars/Olympus", "Mars/Olympus", "Moon/Crater"):
        writer.execute("UPDATE usage_config SET timezone = ?", (value,))
        assert [active().timezone for _ in range(3)] == ["auto"] * 3
    assert ["Mars" in caplog.messages[0], "Moon" in caplog.messages[1]] == [True, True]
    assert len(caplog.records) == 2


# tzdata cannot be imported, and there is no time zone database on the disk.
NO_ZONES = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tzdata":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
import zoneinfo
try:
    zoneinfo.ZoneInfo("UTC")
except zoneinfo.ZoneInfoNotFoundError:
    pass
else:
    raise AssertionError("this process knows time zones")
"""
ZONES = """
from usage_store import get_usage_config, init_database, update_usage_config
from usage_store.testing import dump_usage, load_usage, seed_usage
database = init_database("usage.db")
assert seed_usage(database, snapshots=5).config["timezone"] == "UTC"
assert update_usage_config({"timezone": "UTC"}) is True
assert update_usage_config({"timezone": "auto"}) is True
dump_usage(database, "fixture.json")
load_usage(database, "fixture.json")
assert update_usage_config({"timezone": "Europe/Berlin"}) is False
database.execute_sql("UPDATE usage_config SET timezone = 'Europe/Berlin'")
assert [get_usage_config().timezone for _ in range(3)] == ["auto"] * 3
"""


def test_utc_and_the_fixtures_need_no_time_zone_data_and_an_unknown_zone_warns_once(tmp_path: Path) -> None:
    out, err = printed(NO_ZONES + ZONES, cwd=tmp_path, PYTHONTZPATH="")
    assert out == ""
    refused, warned = err
    assert "update_usage_config refused: timezone: 'Europe/Berlin' is not allowed; allowed: auto, UTC, or an" in refused
    assert "pip install tzdata" in refused
    assert warned.startswith("usage_config 1: timezone 'Europe/Berlin' is not allowed")
