"""A FastAPI application whose endpoints are ordinary functions, which FastAPI runs in threads."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from usage_store import get_session_sizes, insert_usage_snapshot, opened, register_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    with opened():
        register_session("ab74d3b7")
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/snapshots/{number}")
def store(number: int) -> dict[str, int]:
    stored = insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
    if stored is None:
        raise ValueError(number)
    return {"id": stored.id}


@app.get("/sizes")
def sizes() -> dict[str, int]:
    return {size.session_id: size.snapshots for size in get_session_sizes()}
