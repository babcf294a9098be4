"""The canary: asks probes on a schedule, has the answers graded, and tells the decider what each round came to."""
