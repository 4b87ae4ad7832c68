"""Look at each Peewee database of this process before it is used, so that some can be refused."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import peewee

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def before_each(method: Literal["connect", "cursor"], look: Callable[[peewee.Database], object]) -> Iterator[None]:
    """Call a function in the block with each database before it connects, or before it runs a statement (`cursor`).

    An error of the function is raised in the place of what the database would do.
    """
    usual = getattr(peewee.Database, method)

    def looking(database: peewee.Database, *arguments: Any, **options: Any) -> Any:
        look(database)
        return usual(database, *arguments, **options)

    setattr(peewee.Database, method, looking)
    try:
        yield
    finally:
        setattr(peewee.Database, method, usual)
