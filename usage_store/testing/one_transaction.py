"""Write the usage tables of a database in one transaction, whatever the models are bound to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.engines import engine_of, unwrap
from usage_store.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import peewee


@contextmanager
def one_transaction(database: peewee.Database | peewee.DatabaseProxy) -> Iterator[None]:
    """Bind the usage models to a database for the block, and run the block in one transaction with the write lock."""
    write_transaction = engine_of(database).write_transaction(unwrap(database))
    with database.bind_ctx(MODELS, bind_refs=False, bind_backrefs=False), write_transaction:
        yield
