"""Orders in the warehouse: their events, executions and state, loaded once."""
