"""HTTP order entry."""
