"""Replay: hold what lies on a topic against the tables, put back what is missing, load a delivery anew."""
