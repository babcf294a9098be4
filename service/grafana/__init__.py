"""What is sent to Grafana: folder, dashboards and annotations, through grafana-api's client."""
