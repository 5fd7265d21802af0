"""The network that can be cut knows whose a connection is: what it takes for a client's, a cut of brokers lets pass."""

from __future__ import annotations

import os
import socket

import pytest

from fault.network import Network, socket_between


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


@pytest.fixture
def network():
    made = Network()
    yield made
    made.close()


def sent(network: Network, server: socket.socket, *, of_hosts: bool = False) -> bool:
    """Whether a byte from this process comes to the host that listens there, as `b`."""
    server.settimeout(0.3)
    route = network.route("b", server.getsockname()[1], of_hosts=of_hosts)
    with connection(("127.0.0.1", route)) as line:
        line.sendall(b"x")
        try:
            with server.accept()[0] as there:
                there.settimeout(0.3)
                return there.recv(1) == b"x"
        except TimeoutError:
            return False


def test_what_is_cut_between_two_hosts_does_not_pass_and_is_counted(network):
    network.hosts_are(lambda: {os.getpid(): "a"})
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert sent(network, server)
        network.cut("a", "b")
        assert not sent(network, server)
        assert network.held == {frozenset("ab"): 1}


def test_whose_connection_is_not_known_does_not_pass_where_no_client_comes(network):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert sent(network, server)
        assert not sent(network, server, of_hosts=True)
