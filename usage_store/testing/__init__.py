"""Create, dump and load usage data for tests. These functions do not need pytest."""

from __future__ import annotations

from usage_store.testing.dump_and_load import dump_usage, load_usage
from usage_store.testing.seed import Seeded, SeededBlock, seed_usage

__all__ = ["Seeded", "SeededBlock", "dump_usage", "load_usage", "seed_usage"]
