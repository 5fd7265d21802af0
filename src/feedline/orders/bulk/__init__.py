"""Bulk order entry: `orders.bulk` through a delay to `orders.out`, exactly once."""
