"""``tiltmeter curate``: strange prompts of a running service as JSON lines, ready for labelling."""

import json
from pathlib import Path
from urllib.parse import urlencode

import typer

from service.errors import ConfigError
from service.main.remote import call


def fetch(model: str, out: Path, since: str | None, until: str | None, limit: int, url: str, token_file: Path | None) -> None:
    """Write one line a text. Raises ConfigError when the file cannot be written, DataError when the service refuses."""
    wanted = {"model": model, "limit": str(limit), "since": since, "until": until}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    rows = call("GET", url, f"/v1/curation?{query}", token_file)["examples"]
    try:
        out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out: cannot write {out}: {error.strerror}") from None
    clusters = len({row["cluster"] for row in rows})
    typer.echo(f"{model}: {len(rows):,} texts in {clusters:,} clusters to {out}; redaction is by pattern: look before you share it")
