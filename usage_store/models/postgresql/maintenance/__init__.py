"""Keep the usage tables small in PostgreSQL: delete and check snapshots, and remove sessions."""

from usage_store.models.maintenance.wrong_clock import step_in_times
from usage_store.models.postgresql.maintenance.check_usage_tables import check_rows
from usage_store.models.postgresql.maintenance.delete_snapshots import delete_older, delete_sessions, warn_of_step
from usage_store.models.postgresql.maintenance.forecast import estimate, remaining, unreachable, waiting
from usage_store.models.postgresql.maintenance.order_of_steps import Steps, at_work, require_blocks, without_waiting
from usage_store.models.postgresql.maintenance.snapshot_sizes import disk_use, free_pages

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
