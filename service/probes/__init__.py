"""What is asked of a model: packs of probes, how they become requests, and how they are imported from elsewhere."""
