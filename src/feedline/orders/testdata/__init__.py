"""Orders made up for tests: from the schema's hints, with whole lives, a rate and a share of errors."""
