"""Errors travel: from a worker to its parent they keep their type, their line and what they carry."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import pytest

from tests.support.programs import TIMEOUT
from usage_store import errors
from usage_store.migrate import Migration, Step

STEP = Step(Migration(1, "one"), "up", 0.5)
MADE: dict[str, Any] = {
    "CannotFill": ("person", "iso", "CHECK constraint failed: iso GLOB '[A-Z][A-Z]'"),
    "InvalidValue": ("plan", "max100", "pro, max5"),
    "UnknownField": ("colour", ("plan", "view")),
    "UnknownSession": ("ab74d3b7",),
    "NoActiveConfiguration": (),
}
WITH_OPTIONS: dict[str, Any] = {
    "EditedMigration": {"version": 3, "diff": "-a\n+b"},
    "MigrationFailed": {"version": 3, "line": 7, "statement": "DROP TABLE t", "applied": (STEP,)},
    "DatabaseFailed": {"version": 3, "line": 7, "statement": "DROP TABLE t", "applied": (STEP,)},
    "DiskFailed": {"version": 3, "line": 7, "statement": "DROP TABLE t", "applied": (STEP,)},
}


def made(name: str) -> errors.UsageStoreError:
    error: errors.UsageStoreError
    if name in MADE:
        error = getattr(errors, name)(*MADE[name])
    else:
        error = getattr(errors, name)("it went wrong", **WITH_OPTIONS.get(name, {}))
    return error


def raise_it(name: str) -> None:
    raise made(name)


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
@pytest.mark.parametrize("name", errors.__all__)
def test_a_copy_of_an_error_is_the_same_error(name: str, copied: Any) -> None:
    error = made(name)
    again = copied(error)
    assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert vars(again) == vars(error)


@pytest.mark.parametrize("name", ["InvalidValue", "MigrationFailed", "ForkedConnection"])
def test_a_worker_s_error_reaches_its_parent(name: str) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        raised = pool.apply_async(raise_it, (name,))
        with pytest.raises(getattr(errors, name)) as caught:
            raised.get(TIMEOUT)
    assert str(caught.value) == str(made(name))
