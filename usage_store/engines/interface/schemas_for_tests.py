"""The functions of an engine with servers that give each test a schema of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class SchemasForTests(Protocol):
    """Schemas for tests. An engine documents the details."""

    def new_schema(self, server: str) -> AbstractContextManager[str]:
        """Make a schema on the server of a URL for the block, give its URL, and drop it with all that is in it."""

    def names_for_schemas(self, server: str) -> AbstractContextManager[str]:
        """Give the beginning of names for schemas in the block, and drop the schemas with such names after it."""

    def make_schema(self, server: str, name: str) -> str:
        """Make a schema on the server of a URL if it is not there, and return its URL."""

    def drop_schemas(self, server: str, beginning: str) -> None:
        """Drop the schemas whose names begin so, with all that is in them."""

    def script_of(self, url: str) -> Any:
        """Return what makes the objects and rows of the schema of a URL in another schema. Reads only."""

    def content_of(self, url: str) -> tuple[str, ...]:
        """Return the definitions and the rows of the schema of a URL as texts, to compare them. Reads only."""

    def run_script(self, url: str, script: Any) -> None:
        """Run a script in the empty schema of a URL."""

    def schema_of(self, database: Any) -> str:
        """Return the URL's name of the schema that a connected database works in. Reads only."""
