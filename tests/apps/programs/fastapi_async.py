"""A FastAPI application whose endpoints are coroutines, which store in threads by `asyncio.to_thread`."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from usage_store import close_database, get_session_sizes, init_database, insert_usage_snapshot, register_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    await asyncio.to_thread(init_database)
    await asyncio.to_thread(register_session, "ab74d3b7")
    yield
    await asyncio.to_thread(close_database)


app = FastAPI(lifespan=lifespan)


@app.post("/snapshots/{number}")
async def store(number: int) -> dict[str, int]:
    snapshot = {"session_id": "ab74d3b7", "snapshot_data": {"number": number}}
    stored = await asyncio.to_thread(insert_usage_snapshot, snapshot)
    if stored is None:
        raise ValueError(number)
    return {"id": stored.id}


@app.get("/sizes")
async def sizes() -> dict[str, int]:
    return {size.session_id: size.snapshots for size in await asyncio.to_thread(get_session_sizes)}
