"""Grafana dashboards as typed code, and the Prometheus rules beside them."""
