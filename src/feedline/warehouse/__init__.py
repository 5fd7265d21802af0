"""Snowflake: tables from schemas, loading once, validation and the status of deliveries."""
