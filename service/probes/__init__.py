"""What is asked of a model: packs of probes, how they become requests, how they are imported, and the targets that are asked."""
