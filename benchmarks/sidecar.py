"""What a CPU sidecar costs: `tiltmeter run` over HTTP and SQLite at 20 prompts/s with 20,000 reference rows, in cores and resident memory.

    python -m benchmarks.sidecar --data DIR [--seconds 90]

Bars: the rate kept, under 0.5 core and 700 MB, the page and /metrics scraped every 15 s included.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, cycle, islice
from pathlib import Path

import httpx

RATE = 20.0
USERS = 8
REFERENCE = 20_000
CORES, MEGABYTES = 0.5, 700.0
TOKEN = "benchmark"
PORT = 9118


def texts(data: Path) -> tuple[list[str], list[str]]:
    """Rows to fit on, and others to send."""
    clinc = json.loads((data / "clinc_oos" / "data_full.json").read_text())
    with (data / "banking77" / "train.csv").open(newline="") as file:
        banking = [row["text"] for row in csv.DictReader(file)]
    fitted = [text for text, _ in chain(clinc["train"], clinc["val"])] + banking
    return fitted[: REFERENCE * 5 // 4 + 500], [text for text, _ in chain(clinc["test"], clinc["oos_test"])]


def spent(pid: int) -> tuple[float, float]:
    """CPU seconds used so far and peak resident megabytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024


def wait_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    """Until /readyz says 200."""
    for _ in range(240):
        if process.poll() is not None:
            raise SystemExit(f"tiltmeter run ended with status {process.returncode}")
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise SystemExit("tiltmeter run was not ready within 120 s")


def drive(client: httpx.Client, pid: int, prompts: list[str], seconds: float) -> tuple[float, int]:
    """Send one prompt a request at RATE, as independent users do; cores used and prompts counted."""
    start, (before, _) = time.monotonic(), spent(pid)
    scraped, posts = start, []
    with ThreadPoolExecutor(USERS) as users:
        for text in islice(cycle(prompts), round(RATE * seconds)):
            posts.append(users.submit(client.post, "/v1/prompts", json={"text": text}))
            if time.monotonic() - scraped >= 15:
                scraped = time.monotonic()
                client.get("/metrics").raise_for_status()
                client.get("/").raise_for_status()
            time.sleep(max(0.0, start + len(posts) / RATE - time.monotonic()))
        counted = sum(post.result().raise_for_status().json()["counted"] for post in posts)
    return (spent(pid)[0] - before) / (time.monotonic() - start), counted


def main() -> int:
    """Fit, run, drive, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=90.0)
    options = parser.parse_args()
    fitted, prompts = texts(options.data)
    tiltmeter = str(Path(sys.executable).with_name("tiltmeter"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "set.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in fitted))
        fit = [tiltmeter, "fit", str(folder / "set.jsonl"), "--out", str(folder / "bundle")]
        subprocess.run(fit, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        reference = json.loads((folder / "bundle" / "manifest.json").read_text())
        (folder / "tiltmeter.yaml").write_text(
            f"source: {{kind: http}}\nmodels: {{bench: {{bundle: {folder}/bundle}}}}\nhttp: {{port: {PORT}}}\n"
            f"ledger: {{kind: sql, url: 'sqlite:///{folder}/ledger.db'}}\nstore: 'sqlite:///{folder}/history.db'\n"
        )
        command = [tiltmeter, "run", "--config", str(folder / "tiltmeter.yaml")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=os.environ | {"TILTMETER_TOKEN": TOKEN}, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
                wait_ready(client, process)
                start = time.monotonic()
                cores, counted = drive(client, process.pid, prompts, options.seconds)
                rate = counted / (time.monotonic() - start)
            megabytes = spent(process.pid)[1]
        finally:
            process.terminate()
            process.wait(30)
    print(f"reference rows {reference['counts']['reference']:,}, {counted:,} prompts counted at {rate:.1f}/s, one a request")
    print(f"{cores:.2f} core (bar {CORES}), {megabytes:.0f} MB resident at most (bar {MEGABYTES:.0f})")
    return 0 if rate > 0.97 * RATE and cores < CORES and megabytes < MEGABYTES else 1


if __name__ == "__main__":
    sys.exit(main())
