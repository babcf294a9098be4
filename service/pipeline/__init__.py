"""The worker: poll, score, sketch, flush. It knows prompts, not verdicts."""
