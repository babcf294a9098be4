"""Where prompts come from: Kafka, HTTP and files, behind one contract and one decode step."""
