"""Count the tokens that each model used, and compute what they cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import mul
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

SONNET, OPUS = "claude-sonnet-4-20250514", "claude-opus-4-20250514"
TOKENS = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")
_PART_OF_A_DOLLAR = 100_000_000
# In hundred-millionths of a dollar for a token, in the order of TOKENS. Sums of integers are exact.
# The prices are those of claude-monitor 4.0.0 (core/pricing.py). The costs in recorded snapshots prove those of SONNET.
_PRICES = {SONNET: (300, 1_500, 375, 30), OPUS: (1_500, 7_500, 1_875, 150)}


@dataclass(slots=True)
class Counters:
    """The numbers of each model: its tokens in the order of TOKENS, its messages, and its cost."""

    of_model: dict[str, list[int]] = field(default_factory=dict)

    def add(self, model: str, used: list[int]) -> None:
        """Add the numbers of one model."""
        before = self.of_model.get(model)
        self.of_model[model] = used if before is None else [old + new for old, new in zip(before, used, strict=True)]

    def part(self, fraction: float) -> Counters:
        """Return a part of the tokens and messages, rounded down, with their cost."""
        parts = {model: [int(number * fraction) for number in numbers[:-1]] for model, numbers in self.of_model.items()}
        return Counters({model: [*numbers, _cost(model, numbers)] for model, numbers in parts.items()})

    def totals(self) -> list[int]:
        """Return the sums over all models."""
        return [sum(numbers) for numbers in zip(*self.of_model.values(), strict=True)] or [0] * (len(TOKENS) + 2)

    def per_model(self) -> dict[str, dict[str, Any]]:
        """Return the numbers of each model as a snapshot shows them."""
        return {model: _statistics(numbers) for model, numbers in self.of_model.items()}


def made_up(chance: random.Random, model: str, messages: int) -> list[int]:
    """Return the numbers of some messages of one model.

    As in recorded snapshots, a message adds 75,000 tokens on average, and nearly all of them were read from the cache.
    Four of ten messages add no input tokens. Most messages add few output tokens, and some add many.
    """
    number = chance.random
    long_prompt = int(20_000 * number()) if number() < 0.04 else 0  # noqa: PLR2004  one message in 25
    others = (messages - 1) * (0.5 + number())
    tokens = [
        max(0, int(12 * number()) - 4) + int(3 * others) + long_prompt,
        1 + int(1_300 * sixth_power(number()) + 190 * others),
        200 + int(24_000 * sixth_power(number()) + 3_500 * others),
        25_000 + int(105_000 * number() + 75_000 * others),
    ]
    return [*tokens, messages, _cost(model, tokens)]


def sixth_power(number: float) -> float:
    """Return the sixth power of a number from 0 to 1: near 0 for most numbers, near 1 for a few."""
    cube = number * number * number  # every computer multiplies alike; the last digit of pow() may differ
    return cube * cube


def in_dollars(cost: int) -> float:
    """Return a cost in dollars."""
    return cost / _PART_OF_A_DOLLAR


def _cost(model: str, numbers: list[int]) -> int:
    # The prices end after the tokens, and so does the sum.
    return sum(map(mul, _PRICES[model], numbers))


def _statistics(numbers: list[int]) -> dict[str, Any]:
    sent, received, created, read, messages, cost = numbers
    return {
        "input_tokens": sent,
        "output_tokens": received,
        "cache_creation_tokens": created,
        "cache_read_tokens": read,
        "cost_usd": in_dollars(cost),
        "entries_count": messages,
    }
