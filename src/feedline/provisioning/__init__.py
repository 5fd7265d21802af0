"""Declared state to changes to what is there: topics, users, access rules, schemas and tables."""
