"""Orders: entered over HTTP or in bulk, kept in sequence, sent as FIX."""
