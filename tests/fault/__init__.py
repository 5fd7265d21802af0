"""The proof under faults: real brokers, real kills, a checker, and bugs that it must find."""
