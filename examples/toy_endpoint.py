"""A toy model behind OpenAI's API, for trying probes: `python -m examples.toy_endpoint --port 8000 --obeys 0.2`.

What it knows is in service/main/demo/toy_model.py, and can be added to (`--answers FILE`, lines of {"prompt", "answer"}). How badly it
behaves can be set at the start or while it runs (`POST /toy`, a JSON object of what is to change; `GET /toy` shows it): how often it obeys
what a document tells it, forgets what it knew, complies with what it should refuse, refuses what it should answer.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from service.main.demo.toy_endpoint import create_app
from service.main.demo.toy_model import Behaviour, ToyModel


def main() -> None:
    """Serve until stopped."""
    import uvicorn

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--key", help="API key that is asked for")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--answers", type=Path, help='what it knows: lines of {"prompt", "answer"}')
    parser.add_argument("--log", type=Path, help="request log to write, one JSON object a line: what a tap would see")
    for field in fields(Behaviour):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    given = parser.parse_args()
    behaviour = Behaviour(**{field.name: getattr(given, field.name) for field in fields(Behaviour)})
    rows = [json.loads(line) for line in given.answers.read_text().splitlines() if line.strip()] if given.answers else []
    model = ToyModel(behaviour, {row["prompt"]: row["answer"] for row in rows}, given.seed)

    def heard(record: dict[str, Any]) -> None:
        with given.log.open("a") as log:
            log.write(json.dumps(record) + "\n")

    print(f"a toy model answers at http://{given.host}:{given.port}/v1", flush=True)
    uvicorn.run(create_app(model, given.key, heard if given.log else None), host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
