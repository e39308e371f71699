"""The same work without a server: one process that reads films one after another.

python in_process.py FILMS_FOLDER THREADS

Each line on standard input is answered by one line on standard output: `answer` by the JSON of the first film, a number
by the latencies of as many seconds.
"""

import json
import sys
import time
from itertools import cycle
from pathlib import Path

from reading import answer, open_reader

reader = open_reader(int(sys.argv[2]))
films = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
turns = cycle(films)


def measure(seconds: float) -> str:
    """JSON of the milliseconds of each film, and of the seconds that all took."""
    latencies, started = [], time.perf_counter()
    now = started
    while now < started + seconds:
        answer(reader, next(turns))
        before, now = now, time.perf_counter()
        latencies.append((now - before) * 1000)
    return json.dumps({"latencies_ms": latencies, "seconds": now - started})


for line in sys.stdin:
    reply = answer(reader, films[0]).decode() if line.strip() == "answer" else measure(float(line))
    print(reply, flush=True)
