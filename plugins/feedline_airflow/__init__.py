"""Feedline's steps, waits and connections as Airflow knows them; the work itself is in `feedline`."""
