"""History for people: verdicts, windows, incidents, baselines and the audit, in SQL. Losing it loses no detection state."""

from service.store.rows import AuditEntry, BaselineEntry, WindowRow
from service.store.store import Store

__all__ = ["AuditEntry", "BaselineEntry", "Store", "WindowRow"]
