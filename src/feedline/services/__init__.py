"""The services over HTTP: their applications, and what guards them: callers, limits, problem details."""
