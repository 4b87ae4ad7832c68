"""Create, dump and load usage data for tests, and fill any tables with rows. These functions do not need pytest."""

from __future__ import annotations

from usage_store.testing.dump_and_load import dump_usage, load_usage
from usage_store.testing.fill_tables import fill
from usage_store.testing.make_usage_database import MakeUsageDatabase
from usage_store.testing.seed import Seeded, SeededBlock, seed_usage

__all__ = ["MakeUsageDatabase", "Seeded", "SeededBlock", "dump_usage", "fill", "load_usage", "seed_usage"]
