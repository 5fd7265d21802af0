"""The micro-batch: how many records of one feed become one Kafka message, and records again."""
