"""The error topic as an analyst works it off: what lies there, what is still open, and sending it again, corrected."""
