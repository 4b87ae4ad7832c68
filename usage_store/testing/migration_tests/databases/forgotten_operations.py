"""Notice operations of the migrator that a migration makes and never runs. They change nothing, without an error."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playhouse.migrate import Operation

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def forgotten_operations(file_name: str) -> Iterator[list[str]]:
    """Provide a list. After the block, it has the names of the operations that a file made and did not run.

    Operations that other modules make are left out, because peewee_migrate makes some only to throw them away.
    """
    made: dict[int, Any] = {}
    forgotten: list[str] = []
    create, run = Operation.__init__, Operation.run

    def noted(operation: Any, *arguments: Any, **options: Any) -> None:
        caller, *_ = traceback.extract_stack(limit=3)  # of the migrator's method, which calls this function
        if Path(caller.filename).name == file_name:
            made[id(operation)] = operation
        create(operation, *arguments, **options)

    def crossed_out(operation: Any) -> None:
        made.pop(id(operation), None)
        run(operation)

    Operation.__init__, Operation.run = noted, crossed_out
    try:
        yield forgotten
    finally:
        Operation.__init__, Operation.run = create, run
    forgotten += [operation.fn.__name__ for operation in made.values()]
