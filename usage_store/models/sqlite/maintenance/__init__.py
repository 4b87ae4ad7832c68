"""Keep the usage tables small in SQLite: delete, compact and check snapshots, and return free pages to the disk."""

from usage_store.engines.sqlite.file.free_pages import disk_use, free_pages
from usage_store.engines.sqlite.file.write_transaction import without_waiting
from usage_store.models.maintenance.wrong_clock import step_in_times, warn_of_step
from usage_store.models.sqlite.maintenance.check_usage_tables import check_rows
from usage_store.models.sqlite.maintenance.delete_snapshots import delete_older, delete_sessions
from usage_store.models.sqlite.maintenance.forecast import estimate, remaining, unreachable, waiting
from usage_store.models.sqlite.maintenance.order_of_steps import Steps, at_work, require_blocks

__all__ = [
    "Steps",
    "at_work",
    "check_rows",
    "delete_older",
    "delete_sessions",
    "disk_use",
    "estimate",
    "free_pages",
    "remaining",
    "require_blocks",
    "step_in_times",
    "unreachable",
    "waiting",
    "warn_of_step",
    "without_waiting",
]
