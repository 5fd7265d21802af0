"""A minute of made-up order flow, as the demonstration and the measurements run it."""
