"""FastAPI: the body goes to a pool of OSTEOLENS_BENCH_POOL threads that share one reader."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI, Request, Response
from reading import answer, open_reader

app = FastAPI()
reader = open_reader()
pool = ThreadPoolExecutor(int(os.environ["OSTEOLENS_BENCH_POOL"]))


@app.post("/predictions")
async def predict(request: Request) -> Response:
    """One film in the body."""
    film = await request.body()
    body = await asyncio.get_running_loop().run_in_executor(pool, answer, reader, film)
    return Response(body, media_type="application/json")
