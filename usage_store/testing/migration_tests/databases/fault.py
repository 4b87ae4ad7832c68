"""The error of the ready-made tests: what is wrong with a migration, and what helps."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from usage_store.errors import UsageStoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Fault(Exception):
    """A fault of a migration. The text says what is wrong and what helps, for a person who reads no code of ours."""

    def __init__(self, wrong: str, lines: Iterable[object], helps: str) -> None:
        super().__init__(f"{wrong}\n" + "".join(f"    {line}\n" for line in lines) + helps)


@contextmanager
def fault_if_it_fails(wrong: str, helps: Callable[[UsageStoreError], str]) -> Iterator[None]:
    """Raise Fault if the block raises an error of this package."""
    try:
        yield
    except UsageStoreError as error:
        raise Fault(wrong, [error], helps(error)) from error
