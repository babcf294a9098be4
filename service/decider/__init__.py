"""Windows, detectors, incidents and baselines: everything that decides, of which one process is active."""
