"""``tiltmeter topics``: what the topics of a bundle are called wherever they are shown."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="List and rename the topics of a bundle.")

Directory = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Directory made by `tiltmeter fit`.", show_default=False)]


@app.command("list")
def list_topics(bundle: Directory) -> None:
    """Topics by index: share of the reference, and the words shown for them.

    Example:

        tiltmeter topics list bundle
    """
    from service.bundle import Bundle

    loaded = Bundle.load(bundle)
    for index, (topic, fitted) in enumerate(zip(loaded.topics, loaded.fitted, strict=True)):
        was = f"  (fitted: {' '.join(fitted.words) or 'no word may be shown'})" if topic != fitted else ""
        typer.echo(f"{index:>4}  {topic.share:6.1%}  {' '.join(topic.words) or '(no word may be shown)'}{was}")


@app.command()
def rename(
    bundle: Directory,
    index: Annotated[int, typer.Argument(help="Index as printed by `tiltmeter topics list`.", show_default=False)],
    words: Annotated[str, typer.Argument(help="At most 60 characters; empty takes the words of fit again.", show_default=False)],
) -> None:
    """Call a topic something else on the page, in alerts and in explanations.

    Names are kept in topic_names.json in the bundle's directory, outside its digests: the bundle stays the same bundle. A running
    service reads them when it starts.

    Examples:

        tiltmeter topics rename bundle 12 "lost or stolen card"

        tiltmeter topics rename bundle 12 ""
    """
    from service.bundle import Bundle
    from service.bundle.names import rename as name_topic

    loaded = Bundle.load(bundle)
    name_topic(bundle, loaded.digest, len(loaded.topics), index, words)
    topic = Bundle.load(bundle).topics[index]
    typer.echo(f"topic {index} is now shown as: {' '.join(topic.words) or '(no word may be shown)'}")
