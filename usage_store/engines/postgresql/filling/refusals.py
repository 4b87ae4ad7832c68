"""Tell from an error of the server which columns are to blame, and whether other values may help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usage_store.engines.postgresql.connection.error_messages import sqlstate, told
from usage_store.errors import CannotFill

if TYPE_CHECKING:
    from usage_store.engines.postgresql.filling.read_tables import FillTable

_OF_A_ROW = ("22", "23", "P0", "44")  # classes of errors that other values may avoid


def blamed_columns(table: FillTable, error: Exception) -> frozenset[str]:
    """Return the columns that the server names; none if it names none."""
    column = told(error, "column_name")
    if column is not None:
        return frozenset([column])
    return table.rules.get(told(error, "constraint_name") or "", frozenset())


def refusal(table: FillTable, error: Exception) -> Exception:
    """Return the CannotFill for a row that the server refuses. An error that other values do not avoid is returned."""
    if not str(sqlstate(error)).startswith(_OF_A_ROW):
        return error
    blamed = blamed_columns(table, error) or table.columns.keys()
    column = next((name for name in table.columns if name in blamed), None)
    return CannotFill(table.name, column, str(error).splitlines()[0])
