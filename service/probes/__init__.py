"""Canary probes: packs of what is asked, and the targets that are asked."""
