"""A VACUUM first checks the free disk space: it needs twice the size of the used pages."""

from __future__ import annotations

import shutil
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

import peewee
import pytest

from tests.support.databases import fill
from tests.support.disks import make_huge
from usage_store.engines.sqlite.file.free_pages import live_bytes, vacuum
from usage_store.errors import NotEnoughDisk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.quick


def test_a_database_larger_than_the_disk_is_not_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "huge.db"
    make_huge(path)
    with closing(peewee.SqliteDatabase(str(path))) as database:
        with pytest.raises(NotEnoughDisk, match=rf"^{tmp_path}: a VACUUM needs [\d,.]+ MB of disk, and "):
            vacuum(database)
        assert database.pragma("auto_vacuum") == 0


def test_what_it_needs_is_twice_what_the_database_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(peewee.SqliteDatabase(str(fill(tmp_path / "app.db")))) as database:
        database.execute_sql("DELETE FROM item WHERE id > 1000")
        needed = 2 * live_bytes(database)
        assert needed < 2 * database.pragma("page_count") * database.page_size
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=needed - (folder == tmp_path)))
        with pytest.raises(NotEnoughDisk):
            vacuum(database)
        assert (database.pragma("auto_vacuum"), database.pragma("freelist_count") > 0) == (0, True)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
        vacuum(database)
        assert (database.pragma("auto_vacuum"), database.pragma("freelist_count")) == (2, 0)


def test_a_database_in_memory_needs_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    with closing(peewee.SqliteDatabase(":memory:")) as database:
        database.execute_sql("CREATE TABLE t (a)")
        vacuum(database)
