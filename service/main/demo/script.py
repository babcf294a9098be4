"""What happens: four ordinary weeks, and the week in which a product launch and an attack meet the assistant."""

from dataclasses import dataclass
from datetime import UTC, datetime

from service.main.demo.traffic import DAY, Event

MODEL = "support-bot"
OWNER = "assistant-team"

MONDAY = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
"""Event time at which the week begins."""
WEEK = 7 * DAY
HISTORY_DAYS = 28

_HOUR = 3600.0

BUSY_HOUR = Event(
    "an outage of the payment network is on the news: an hour of many questions, all of a known kind",
    start=12 * _HOUR,
    stop=13 * _HOUR,
    volume=2.5,
    lean=("balance", "transactions", "transfer_pending", "card_declined", "salary"),
)
NEW_TOPIC = Event(
    "marketing launches a travel insurance that the assistant was never taught: 2% of conversations, 10% twelve hours later",
    start=DAY + 9 * _HOUR,
    stop=3 * DAY + 18 * _HOUR,
    topic="travel_insurance",
    share=(0.02, 0.10),
    ramp=12 * _HOUR,
)
JAILBREAK = Event(
    "a few users send one jailbreak attempt after the other",
    start=6 * DAY + 13 * _HOUR,
    stop=6 * DAY + 13.75 * _HOUR,
    topic="jailbreak",
    share=(0.12, 0.12),
    burst=True,
)
RELEASE = 3 * DAY + 1 * _HOUR
ROLLBACK = 4 * DAY + 9 * _HOUR
"""Seconds of the week between which another model answers."""

CLEAN = (BUSY_HOUR,)
EVENTS = (BUSY_HOUR, NEW_TOPIC, JAILBREAK)


@dataclass(frozen=True, slots=True)
class Beat:
    """Something the narrator says when event time reaches it, seconds since the epoch."""

    time: float
    text: str


def beats() -> tuple[Beat, ...]:
    """What is really going on, for the one who watches; the service is not told."""
    return (
        Beat(MONDAY + BUSY_HOUR.start, BUSY_HOUR.name),
        Beat(MONDAY + NEW_TOPIC.start, NEW_TOPIC.name),
        Beat(
            MONDAY + RELEASE, "tuned again, on travel insurance, it is released at night: it now obeys orders hidden in texts, and forgets"
        ),
        Beat(MONDAY + NEW_TOPIC.stop, "the gateway now sends questions about travel insurance to people"),
        Beat(MONDAY + ROLLBACK, "the release is taken back"),
        Beat(MONDAY + JAILBREAK.start, JAILBREAK.name),
        Beat(MONDAY + JAILBREAK.stop, "they give up"),
    )
