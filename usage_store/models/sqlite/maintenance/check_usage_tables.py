"""Check the rows of the usage tables for `validate`: the active configuration, the references and the snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.errors import CorruptDatabase, SchemaDrift, UsageStoreError
from usage_store.models.maintenance.check_rows import ahead_of_the_clock, without_configuration
from usage_store.models.sqlite.maintenance import count_references
from usage_store.models.sqlite.rows import block_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee

_EXAMPLES = 3


def check_rows(database: peewee.SqliteDatabase, *, full: bool) -> Iterator[UsageStoreError | str]:
    """Yield an error for each problem of the rows, and a line of text for each notice. Reads only.

    Every block of compacted snapshots is read. With `full`, the text of every snapshot is read too. A table that is
    missing, or that misses a needed column, is skipped, because the comparison of the schema reports it.
    """
    if _has(database, "usage_config", "is_active"):
        yield from without_configuration(database)
    if _has(database, "usage_snapshots", "timestamp"):
        yield from ahead_of_the_clock(database)
    if not _has(database, "usage_snapshots", "id", "session_id", "snapshot_data"):
        return
    if _has(database, "usage_snapshot_blocks", "id", "data", "refs"):
        yield from _references(database)
        yield from map(CorruptDatabase, block_format.damaged_blocks(database))
        if full:
            yield from (CorruptDatabase(line) for _, line in block_format.damaged_snapshots(database))


def _has(database: peewee.SqliteDatabase, table: str, *columns: str) -> bool:
    found = database.execute_sql("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return {name for (name,) in found}.issuperset(columns)


def _references(database: peewee.SqliteDatabase) -> Iterator[UsageStoreError]:
    wrong = list(count_references.wrong_refs(database))
    if wrong:
        shown = "; ".join(
            f"block {block} has refs {refs}, counted {counted}" for block, refs, counted in wrong[:_EXAMPLES]
        )
        more = "; ..." if len(wrong) > _EXAMPLES else ""
        yield SchemaDrift(
            f"usage_snapshot_blocks: refs of {len(wrong)} blocks are wrong ({shown}{more}); `maintain` corrects them"
        )
