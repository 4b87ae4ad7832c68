"""The functions of the package that write, each as a call without arguments for a database with a session `s`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import usage_store as store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SNAPSHOT = {"session_id": "s", "snapshot_data": {"n": 1}}
WRITES: Mapping[str, Callable[[], object]] = {
    "insert_usage_snapshot": lambda: store.insert_usage_snapshot(SNAPSHOT),
    "insert_usage_snapshots": lambda: store.insert_usage_snapshots([SNAPSHOT]),
    "update_usage_config": lambda: store.update_usage_config({"plan": "max5"}),
    "reset_usage_config": store.reset_usage_config,
    "register_session": lambda: store.register_session("t"),
    "register_sessions": lambda: store.register_sessions(["t"]),
    "remove_sessions": lambda: store.remove_sessions(["s"]),
    "delete_old_usage_snapshots": lambda: store.delete_old_usage_snapshots(0),
}
