"""The warehouse connection of the Dags."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from feedline.warehouse.connection import LOGIN_TIMEOUT, NETWORK_TIMEOUT, translate

WAREHOUSE_CONNECTION = "feedline_snowflake"

# Options of snowflake.connector.connect that the provider's hook does not pass on. Without a network timeout the
# connector repeats a failing request without end; the protocol is for a server that stands in for an account.
CONNECTOR_OPTIONS = ("protocol", "network_timeout", "login_timeout", "socket_timeout")


class WarehouseHook(SnowflakeHook):
    """The provider's hook with the connector's time limits and protocol taken from the connection's extras.

    Authentication (password, key pair, OAuth), role, warehouse and session parameters are the provider's own.
    """

    default_conn_name = WAREHOUSE_CONNECTION

    def __init__(self, snowflake_conn_id: str = WAREHOUSE_CONNECTION, **kwargs: Any) -> None:
        super().__init__(snowflake_conn_id=snowflake_conn_id, **kwargs)

    def _get_conn_params(self) -> dict[str, Any]:
        extra = self.get_connection(self.get_conn_id()).extra_dejson
        limits = {"network_timeout": NETWORK_TIMEOUT, "login_timeout": LOGIN_TIMEOUT}
        named = {option: extra[option] for option in CONNECTOR_OPTIONS if option in extra}
        return super()._get_conn_params() | limits | named

    @contextmanager
    def session(self) -> Iterator[SnowflakeConnection]:
        """A connection, closed at the end.

        Raises WarehouseUnavailableError when nobody answers in time, AuthenticationError when the login is refused.
        """
        # A task's log says what a step did, not how each client was reached; Airflow sets no level for such loggers.
        logging.getLogger("snowflake.connector").setLevel(logging.WARNING)
        try:
            connection = self.get_conn()
        except Error as error:
            raise translate(error, "cannot log in to the warehouse") from error
        try:
            yield connection
        finally:
            connection.close()
