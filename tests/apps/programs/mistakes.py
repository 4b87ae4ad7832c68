"""What many people write first: each route makes one mistake."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

from fastapi import FastAPI, HTTPException

from usage_store import init_database, insert_usage_snapshot, opened, register_session

app = FastAPI()
database = init_database()
register_session("ab74d3b7")


def store(number: int) -> dict[str, int]:
    stored = insert_usage_snapshot({"session_id": "ab74d3b7", "snapshot_data": {"number": number}})
    if stored is None:
        raise HTTPException(422)
    return {"id": stored.id}


@app.post("/initialises/{number}")
def initialises(number: int) -> dict[str, int]:
    init_database(retention_days=365)  # in each request
    return store(number)


@app.post("/never_closes/{number}")
def never_closes(number: int) -> dict[str, int]:
    answers: list[dict[str, int]] = []
    thread = threading.Thread(target=lambda: answers.append(store(number)))  # a new thread, and so a new connection
    thread.start()
    thread.join()
    return answers[0]


@app.post("/blocks/{number}")
async def blocks(number: int) -> dict[str, int]:
    return store(number)  # in the thread of the event loop


@app.post("/awaits/{number}")
async def awaits(number: int) -> dict[str, int]:
    with database.atomic() as transaction:
        answer = store(number)
        await asyncio.sleep(0.05)  # other requests run now, in the same thread
        if number % 2:
            transaction.rollback()
            raise HTTPException(409)
    return answer


@app.post("/opens/{number}")
def opens(number: int) -> dict[str, int]:
    with opened(f"{os.environ['USAGE_STORE_DATABASE'][:-3]}{number % 2}.db"):  # in each request
        register_session("ab74d3b7")
        time.sleep(0.02)
        return store(number)


@app.post("/descriptors/{number}")
def descriptors(number: int) -> dict[str, int]:
    return {"descriptors": len(list(Path("/proc/self/fd").iterdir())), "number": number}
