"""Counts and input positions, together or not at all: one contract, Kafka transactions or SQL underneath."""
