"""Build the JSON document of a snapshot: the current block, the recent ones, the burn rate and the totals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from usage_store.testing.seeding.blocks import BLOCK, HOUR, WINDOW, Block
from usage_store.testing.seeding.counters import TOKENS, Counters, in_dollars, made_up

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Statistics = dict[str, Any]
Change = tuple[Block, Statistics, list[str]]
# The limits of a block, as claude-monitor 4.0.0 has them (core/plans.py): input and output tokens, dollars, messages.
_LIMITS = {"pro": (19_000, 18, 250), "max5": (88_000, 35, 1_000), "max20": (220_000, 140, 2_000)}
_PREDICTIONS = {"tokens_run_out": None, "limit_resets_at": None}
_SECOND_MODEL = 0.3  # the share of changes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # datetime.fromtimestamp() refuses times before it on Windows
_NO_RECENT = '"recent_sessions":null'

_encoded = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


class Monitor:
    """Let the counters of blocks grow, and say at each change what a monitor would say.

    `resets` and `cut` are the anomalies of these names.
    """

    def __init__(self, chance: random.Random, blocks: Sequence[Block], plan: str, *, resets: bool, cut: bool) -> None:
        self._chance, self._blocks, self._limits, self._cut = chance, blocks, _LIMITS[plan], cut
        self._ended: list[list[Statistics]] = []  # each block before the current one, with the gap after it
        self._resets = _reset_at(blocks) if resets else {}
        self._with_last_message = _seen_whole(blocks)
        self.listed: set[int] = set()  # the numbers of the blocks that were shown as recent ones

    def watch(self) -> Iterator[Change]:
        """Yield each change: its block, the statistics after it, and the anomalies that they show."""
        for number, block in enumerate(self._blocks):
            yield from self._watched(number, block)
            if not block.changes:
                self._use(block, block.messages)
            elif block.start in self._with_last_message:
                self._use(block, 1)
                block.last = min(block.last + self._chance.randrange(1_000, 20_000), block.end * 1_000 - 1)
            self._ended.append([_statement(block.start, block.shown, None), *self._gap_after(number)])

    def _watched(self, number: int, block: Block) -> Iterator[Change]:
        recent: list[Statistics] = []
        oldest = -1
        spread = 2 * max(0.6, block.messages / max(1, len(block.changes)) - 1)
        for position, moment in enumerate(block.changes):
            seen: list[str] = []
            if self._resets.get(block.start) == position:
                block.shown = Counters()
                seen.append("reset")
            else:
                self._use(block, 1 + int(self._chance.random() * spread))
            edge = moment - WINDOW * 1_000
            first = self._oldest_at(edge, number, max(0, oldest))
            is_cut = self._cut and first < number and self._blocks[first].first < edge
            if first != oldest or is_cut:
                recent, oldest = self._recent(first, number), first
            if is_cut:
                recent[0] = _cut_at(edge, self._blocks[first])
                seen.append("cut")
            yield block, self._statistics(block, moment, recent), seen

    def _use(self, block: Block, messages: int) -> None:
        second = len(block.models) > 1 and self._chance.random() < _SECOND_MODEL
        model = block.models[second]
        used = made_up(self._chance, model, messages)
        block.used.add(model, used)
        block.shown.add(model, used)

    def _oldest_at(self, edge: int, number: int, first: int) -> int:
        """Return the number of the oldest block that is shown. A block is shown until all of it is too old."""
        while first < number and (self._blocks[first].last if self._cut else self._blocks[first].end * 1_000) <= edge:
            first += 1
        return first

    def _recent(self, first: int, number: int) -> list[Statistics]:
        self.listed.update(range(first, number))
        return [each for block_and_gap in self._ended[first:number] for each in block_and_gap]

    def _gap_after(self, number: int) -> Iterator[Statistics]:
        """Yield the gap between a block and the next one, if there are five hours without a message."""
        for block, following in pairwise(self._blocks[number : number + 2]):
            if following.first - block.last >= BLOCK * 1_000:
                yield _gap(block.last, following.first)

    def _statistics(self, block: Block, moment: int, recent: list[Statistics]) -> Statistics:
        minutes = (moment - block.start * 1_000) / 60_000
        *tokens, messages, parts = block.shown.totals()
        cost = in_dollars(parts)
        rate = {"tokens_per_minute": sum(tokens) / minutes, "cost_per_hour": cost / minutes * 60}
        most_tokens, most_dollars, most_messages = self._limits
        return {
            "current_session": _statement(block.start, block.shown, rate),
            "recent_sessions": recent,
            "predictions": _PREDICTIONS,
            "burn_rate": rate,
            "totals": {
                "cost_percentage": cost / most_dollars * 100,
                "token_percentage": (tokens[0] + tokens[1]) / most_tokens * 100,
                "message_percentage": messages / most_messages * 100,
                "time_to_reset_percentage": minutes * 60 / BLOCK * 100,
            },
        }


def texts(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the statistics of rows as JSON text. Parts that neighbouring rows share are written once."""
    data: Statistics = {}
    recent, text, recent_text = None, "", ""
    for row in rows:
        if row["snapshot_data"] is not data:
            data = row["snapshot_data"]
            if data["recent_sessions"] is not recent:
                recent = data["recent_sessions"]
                recent_text = f'"recent_sessions":{_encoded(recent)}'
            text = _encoded({**data, "recent_sessions": None}).replace(_NO_RECENT, recent_text)
        yield text


def block_id(milliseconds: int) -> str:
    """Return a moment as a monitor writes it in the id of a block."""
    return (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat()


def _statement(start: int, shown: Counters, rate: dict[str, float] | None) -> Statistics:
    """Return what a monitor says of a block. An ended block has no burn rate."""
    *tokens, messages, cost = shown.totals()
    return {
        "id": block_id(start * 1_000),
        "start_time": start,
        "end_time": start + BLOCK,
        "is_active": rate is not None,
        "token_counts": dict(zip(TOKENS, tokens, strict=True)),
        "cost_usd": in_dollars(cost),
        "burn_rate": rate,
        "models": list(shown.of_model),
        "sent_messages_count": messages,
        "per_model_stats": shown.per_model(),
    }


def _gap(idle_from: int, idle_until: int) -> Statistics:
    gap = _statement(idle_from // 1_000, Counters(), None)
    return gap | {"id": f"gap-{block_id(idle_from)}", "end_time": idle_until // 1_000}


def _cut_at(edge: int, block: Block) -> Statistics:
    """Return what is left of a block if its messages before a moment are not counted. It starts at a later hour."""
    hour = edge // 1_000 // HOUR * HOUR
    return _statement(hour, block.shown.part((block.last - edge) / (block.last - block.first)), None)


def _seen_whole(blocks: Sequence[Block]) -> set[int]:
    """Return the starts of the watched blocks that the next watched block shows, with all messages, as recent ones.

    They get one more message after their last snapshot, because a monitor stores a snapshot before a message ends. Only
    later snapshots count that message.
    """
    watched = [block for block in blocks if block.changes]
    return {
        block.start for block, following in pairwise(watched) if block.first >= following.changes[0] - WINDOW * 1_000
    }


def _reset_at(blocks: Sequence[Block]) -> dict[int, int]:
    """Choose the change at which the counters of a block fall to zero: in the middle of every third long block."""
    long = sorted((block for block in blocks if len(block.changes) > 2), key=lambda block: -len(block.changes))  # noqa: PLR2004
    return {block.start: len(block.changes) // 2 for block in long[::3]}
