"""Progress of a long fit: a bar on a terminal, plain lines elsewhere, nothing for a library."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

Advance = Callable[[int], None]

_LINE_EVERY = 10.0


class Progress(Protocol):
    """Told about each stage; ``total`` is None when nobody knows how much there is."""

    def stage(self, name: str, total: int | None) -> Advance:
        """Begin a stage; the result is called with the amount done since the last call."""
        ...


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int | None) -> Advance:
        """Begin a stage that nobody watches."""
        return lambda done: None


class Lines:
    """One line when a stage begins, and one every ten seconds."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock

    def stage(self, name: str, total: int | None) -> Advance:
        """Begin a stage."""
        of = f" of {total:,}" if total is not None else ""
        print(f"{name}: {total:,}" if total is not None else name, file=self._out, flush=True)
        done, last = 0, self._clock()

        def advance(amount: int) -> None:
            nonlocal done, last
            done += amount
            if self._clock() - last >= _LINE_EVERY:
                last = self._clock()
                print(f"{name}: {done:,}{of}", file=self._out, flush=True)

        return advance


@contextmanager
def terminal_progress(out: TextIO | None = None) -> Iterator[Progress]:
    """A bar when ``out`` (standard error) is a terminal, else lines."""
    out = out or sys.stderr
    if not out.isatty():
        yield Lines(out)
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(file=out)) as bars:
        yield _Bars(bars.add_task, bars.advance)


class _Bars:
    def __init__(self, add: Callable[..., int], advance: Callable[..., None]) -> None:
        self._add = add
        self._advance = advance

    def stage(self, name: str, total: int | None) -> Advance:
        task = self._add(name, total=total)
        return lambda done: self._advance(task, done)
