"""Kafka clients: their settings, their errors, topics and the schema registry."""
