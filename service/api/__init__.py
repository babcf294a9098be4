"""HTTP on one port: status page, metrics, health, ingest, scores, history, commands. Meets the other rooms only in AppState."""
