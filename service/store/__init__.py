"""History for people: verdicts, windows, incidents, baselines and the audit, in SQL. Losing it loses no detection state."""

from service.store.probes import KeptRound, ProbeHistory
from service.store.rows import Example, WindowRow
from service.store.store import Store

__all__ = ["Example", "KeptRound", "ProbeHistory", "Store", "WindowRow"]
