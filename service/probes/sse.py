"""Server-sent events, read as they come: bytes in, the data of each event out."""


class EventReader:
    r"""Cuts a stream of bytes into the data of its events (WHATWG HTML, section 9.2). Lines end in LF, CR LF or CR.

    What is not ``data`` (comments that keep the line open, event names, ids) is passed over. Bytes that are not UTF-8 are replaced.

    >>> reader = EventReader()
    >>> reader.feed(b'data: {"a"')
    []
    >>> reader.feed(b': 1}\n\ndata: [DONE]\n\n')
    ['{"a": 1}', '[DONE]']
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[str] = []
        self._after_return = False

    def feed(self, chunk: bytes) -> list[str]:
        """Data of the events that this chunk completes, several data lines of one event joined by line breaks. Cost: linear."""
        events: list[str] = []
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if chunk:
            self._after_return = chunk.endswith(b"\r")
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for part in ended:
            self._line += part
            self._end_line(events)
        self._line += rest
        return events

    def finish(self) -> list[str]:
        """Data of a last event that no empty line ended: some servers leave it out."""
        events: list[str] = []
        self._end_line(events)
        self._end_line(events)
        return events

    def _end_line(self, events: list[str]) -> None:
        line = self._line.decode(errors="replace")
        self._line.clear()
        if not line:
            if any(self._data):
                events.append("\n".join(self._data))
            self._data.clear()
        elif line.startswith("data"):
            name, _, value = line.partition(":")
            if name == "data":
                self._data.append(value.removeprefix(" "))
