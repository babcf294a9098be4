"""Days and hours of the week where the traffic lives: what a baseline by hour of the week goes by."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

HOURS = 168


class Calendar:
    """Local time of one IANA zone. Summer time: the missing hour is nobody's, the repeated one comes twice."""

    def __init__(self, time_zone: str) -> None:
        self._zone: tzinfo = UTC if time_zone == "UTC" else ZoneInfo(time_zone)  # UTC needs no data of the system

    def hour(self, time: float) -> int:
        """Hour of the week, 0 (Monday, 0 o'clock) to 167, at ``time``, seconds since the epoch. About a microsecond."""
        local = self._local(time)
        return local.weekday() * 24 + local.hour

    def day(self, time: float) -> int:
        """Number of the local day; Mondays have numbers that 7 leaves 1 over (day 1 is 1 January of the year 1)."""
        return self._local(time).toordinal()

    def _local(self, time: float) -> datetime:
        return datetime.fromtimestamp(time, UTC).astimezone(self._zone)
