"""Bugs that a careless hand might make in the gateway are found by holding the engine's book against the topic."""

from __future__ import annotations

import pytest

from order_flow.flow import Flow, lives
from order_flow.gateway_process import Bug


@pytest.fixture
def running(the_flow):
    # Orders stay open: what is filled takes no further event.
    the_flow.start_engine("--answer", "partial")
    return the_flow


@pytest.mark.long
@pytest.mark.parametrize("bug", [Bug.NO_INTENT, Bug.NO_MARK])
def test_a_careless_gateway_is_found_out(running: Flow, bug: Bug):
    """Booked and not answered by the first, then taken over by the second: as in the test of the gateway, which is
    clean."""
    running.control("/behaviour", {"answer": "hold"})
    running.start_gateway(bug=bug)
    running.produce(lives(40))
    running.wait_for(lambda: running.booked() == running.unheld, "what may be is booked, nothing answered")
    running.kill("GATEWAY-1")
    running.control("/behaviour", {"answer": "ack"})
    running.start_gateway("GATEWAY-2", bug=bug)
    running.wait_for(lambda: "unmarked copy" in running.check().findings, "the bug is found")
