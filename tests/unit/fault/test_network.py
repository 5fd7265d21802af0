"""The network that can be cut knows whose a connection is: what it takes for a client's, a cut of brokers lets pass."""

from __future__ import annotations

import os
import socket

from fault.network import socket_between


def connection(to: tuple[str, int], local: int = 0) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", local))
    made.connect(to)
    return made


def test_of_two_connections_from_one_port_each_is_found_as_itself():
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
        connection(one.getsockname()) as first,
        connection(other.getsockname(), first.getsockname()[1]) as second,
    ):
        port = first.getsockname()[1]
        for made, server in ((first, one), (second, other)):
            inode = os.fstat(made.fileno()).st_ino
            assert socket_between(port, server.getsockname()[1]) == f"socket:[{inode}]"
        assert socket_between(port, 1) == ""
