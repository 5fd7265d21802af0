"""Recovery of orders from a point in time."""
