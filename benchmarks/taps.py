"""What a tap costs the application: p99 of its requests with Tiltmeter well, killed, hung and full, beside no tap at all.

    .venv/bin/python -m benchmarks.taps [--ticks 3000]

An application (uvicorn, an answer after 20 ms, as a fast model's first token), bare and behind the middleware with four Tiltmeters: one
that counts, a port where nobody listens, one that takes connections and never answers, one that answers 429. Each is a process of its
own. Every tick asks all of them at once, in an order drawn anew, so that what the machine does meanwhile falls on all of them. Each
arm's p99 is divided by that of the bare application, of which there are two, taken together; the ratio of one of them says what there
is to see where nothing is. Intervals are a bootstrap over blocks of ticks. Also: seconds for one `put`. Exit status 1 when the lower
end of an arm's interval is 5% or more above the bare one.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "taps"))

from asgi_middleware import TiltmeterTap
from tiltmeter_sender import Sender

BAR = 1.05
FORK = multiprocessing.get_context("fork")
MODEL_SECONDS = 0.02
WARM = 100
ARMS = ("bare", "bare again", "well", "killed", "hung", "full")
TEXT = "How do I reset the PIN of my card? " * 20


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads its body, waits as a model does, answers in three pieces."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await asyncio.sleep(MODEL_SECONDS)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for piece in range(3):
        await send({"type": "http.response.body", "body": b"data: {}\n\n", "more_body": piece < 2})


def tiltmeter(status: int) -> str:
    """A Tiltmeter of another process that answers every post with this status."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    FORK.Process(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def serve(url: str | None, listening: socket.socket, stats: Connection) -> None:
    """One arm, in a process of its own: bare where there is no Tiltmeter. Says what became of its prompts when asked."""
    import uvicorn

    sender = Sender(url, max_records=2_000, timeout=1.0) if url else None

    def report() -> None:
        stats.recv()
        stats.send(repr(sender.stats()) if sender else "no tap")

    threading.Thread(target=report, daemon=True).start()
    app = TiltmeterTap(application, sender) if sender else application
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    asyncio.run(server.serve(sockets=[listening]))


async def measure(ports: Mapping[str, int], ticks: int) -> dict[str, NDArray[np.float64]]:
    """Seconds by arm, (ticks,)."""
    rng = np.random.default_rng(0)
    body = json.dumps({"model": "support-bot", "messages": [{"role": "user", "content": TEXT}]}).encode()
    taken: dict[str, list[float]] = {arm: [] for arm in ports}
    async with httpx.AsyncClient(timeout=30) as client:

        async def ask(arm: str) -> None:
            start = time.perf_counter()
            (await client.post(f"http://127.0.0.1:{ports[arm]}/v1/chat/completions", content=body)).raise_for_status()
            taken[arm].append(time.perf_counter() - start)

        for tick in range(-WARM, ticks):
            await asyncio.gather(*(ask(arm) for arm in rng.permutation(list(ports))))
            if tick == -1:
                for found in taken.values():
                    found.clear()
    return {arm: np.array(found) for arm, found in taken.items()}


def interval(arm: NDArray[np.float64], bare: NDArray[np.float64]) -> tuple[float, float, float]:
    """Ratio of the p99s, (ticks,) against (ticks, 2), with its 95% interval."""
    rng = np.random.default_rng(1)
    blocks = np.array_split(np.arange(len(bare)), 60)
    ratios = []
    for _ in range(2000):
        rows = np.concatenate([blocks[i] for i in rng.integers(0, len(blocks), len(blocks))])
        ratios.append(np.quantile(arm[rows], 0.99) / np.quantile(bare[rows], 0.99))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(np.quantile(arm, 0.99) / np.quantile(bare, 0.99)), float(low), float(high)


def put_seconds(url: str) -> NDArray[np.float64]:
    """Seconds of 20,000 calls of `put` while the thread fails to send."""
    sender = Sender(url, max_records=2_000, timeout=1.0)
    taken = []
    for _ in range(20_000):
        start = time.perf_counter()
        sender.put({"text": TEXT, "model": "support-bot"})
        taken.append(time.perf_counter() - start)
    return np.array(taken)


def main() -> int:
    """Serve, ask, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ticks", type=int, default=3000)
    options = parser.parse_args()
    hung = socket.create_server(("127.0.0.1", 0), backlog=128)
    nobody = socket.create_server(("127.0.0.1", 0))
    killed = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    nobody.close()
    urls = {"well": tiltmeter(200), "killed": killed, "hung": f"http://127.0.0.1:{hung.getsockname()[1]}", "full": tiltmeter(429)}
    ports, pipes = {}, {}
    for arm in ARMS:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        ports[arm] = listening.getsockname()[1]
        pipes[arm], theirs = multiprocessing.Pipe()
        FORK.Process(target=serve, args=[urls.get(arm), listening, theirs], daemon=True).start()
    time.sleep(2.0)
    taken = asyncio.run(measure(ports, options.ticks))
    for pipe in pipes.values():
        pipe.send("stats")
    told = {arm: pipe.recv() for arm, pipe in pipes.items()}
    missed = False
    bare = np.stack([taken["bare"], taken["bare again"]], axis=1)
    for arm in ARMS:
        ratio, low, high = interval(taken[arm], bare)
        missed |= arm in urls and low >= BAR
        middle, last = np.quantile(taken[arm], [0.5, 0.99]) * 1e3
        print(f"{arm:>10}  p50 {middle:6.2f} ms  p99 {last:6.2f} ms  p99 against bare {ratio:.3f} ({low:.3f} to {high:.3f})")
    for arm, stats in told.items():
        print(f"{arm:>10}  {stats}")
    puts = put_seconds(urls["hung"]) * 1e6
    print("put, hung: " + ", ".join(f"{name} {np.quantile(puts, q):.1f} µs" for name, q in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
