"""Probing many slow endpoints at once: 1,000 streams of ten seconds on one event loop, beside a schedule that must not be missed.

The toy endpoint runs in a process of its own. A task that wants to run every 100 ms stands for the schedule; the bar is that it is never a
second late, that every stream ends in an answer, and that memory stays where it is.

    python -m benchmarks.probes [--streams N]
"""

import argparse
import asyncio
import resource
import socket
import subprocess
import sys
import time

import httpx
import numpy as np

from service.config import Endpoint, Rate
from service.probes.target import TargetClient
from service.records.probes import Call, Message, Reply

PER_TOKEN = 0.5
WORDS = 20
EVERY = 0.1
LATEST = 1.0


async def heartbeat(late: list[float]) -> None:
    """How late a task is that wants to run every 100 ms; seconds."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += EVERY
        await asyncio.sleep(max(due - loop.time(), 0.0))
        late.append(loop.time() - due)


async def measure(url: str, streams: int) -> tuple[list[Reply], list[float], float]:
    """Replies, lateness of every beat, and the seconds all of it took."""
    settings = Endpoint(url=url, model="toy-1", rate=Rate(per_minute=1e9, concurrency=streams), daily={"calls": None})
    target = TargetClient("toy", settings)
    words = " ".join(f"word{i}" for i in range(WORDS))
    call = Call((Message("user", f'Repeat: "{words}"'),), sampling={"temperature": 0})
    late: list[float] = []
    beat = asyncio.create_task(heartbeat(late))
    start = time.monotonic()
    replies = await asyncio.gather(*(target.ask(call) for _ in range(streams)))
    took = time.monotonic() - start
    beat.cancel()
    await target.aclose()
    return replies, late, took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    streams: int = parser.parse_args().streams
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "examples.toy_endpoint", "--port", str(port), "--per-token", str(PER_TOKEN)])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        for _ in range(300):
            try:
                httpx.get(f"{url}/models")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        before = resource.getrusage(resource.RUSAGE_SELF)
        replies, late, took = asyncio.run(measure(url, streams))
        after = resource.getrusage(resource.RUSAGE_SELF)
    finally:
        server.terminate()
        server.wait()
    answered = sum(reply.error is None and reply.tokens_out == WORDS for reply in replies)
    first = np.array([reply.first_token for reply in replies if reply.first_token is not None])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{streams:,} streams of {(WORDS - 1) * PER_TOKEN:.1f} s at once: {answered:,} answered in {took:.1f} s, {cpu:.1f} s of CPU")
    print(f"first token, seconds: median {np.median(first):.2f}, last {first.max():.2f}")
    usual = np.quantile(late, 0.99)
    print(f"a task due every {EVERY * 1000:.0f} ms was late by: 99% under {usual * 1000:.0f} ms, most {max(late) * 1000:.0f} ms")
    print(f"memory: {(after.ru_maxrss - before.ru_maxrss) / 1024:.0f} MiB more")
    missed = answered < streams or max(late) > LATEST
    print("bar: every stream answered, never a second late:", "missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
