"""The local stack: a real Kafka broker, a real schema registry, a stand-in for Snowflake and Airflow, started and
stopped as one. Everything lives under one folder (`.local/` unless told otherwise)."""
