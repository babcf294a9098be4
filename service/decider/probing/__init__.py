"""Rounds of probes under judgement: streams, records, incidents, gates. Of the model in force, whichever bundle it has."""
