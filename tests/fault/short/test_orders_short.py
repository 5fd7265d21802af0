"""The part for orders that every change is held to: under load every service of orders is told to end, one is killed
and taken over, and a broker is down meanwhile."""

from __future__ import annotations

from fault.orders import OrderRun, bulk_given
from order_flow.flow import lives


def test_services_that_are_ended_and_killed_while_a_broker_is_down_lose_and_double_nothing(the_world, tmp_path, seed):
    with OrderRun(the_world, tmp_path, seed=seed) as run:
        flow = run.flow
        flow.start_engine("--answer", "partial")
        flow.start_gateway()
        flow.start_bulk("bulk", "--delay", "exp:20")
        run.start_entries("entry-0", "entry-1")
        clients = run.start_clients("entry-0", "entry-1", count=3, seed=seed)
        flow.produce(lives(40, seed), topic=run.topics.bulk)
        run.await_acknowledged(40)
        run.kill_broker(1)
        run.kill("GATEWAY-1")
        flow.start_gateway("GATEWAY-2")
        for name in ("entry-0", "bulk"):
            run.end(name, broker_down=True)
            flow.again(name)
            flow.produce(lives(20, seed + len(name)), topic=run.topics.bulk)
            run.await_acknowledged(30)
        run.end("engine")
        flow.again("engine")
        clients.stop()
        the_world.cluster.start(1)
        flow.wait_for(lambda: run.has_landed(flow.given), "bulk entry has published all")
        check = run.verdict(run.check_topic([*clients.given(), *bulk_given(flow.given)]))
        assert check.clean, str(check)
        assert not clients.wrong, clients.wrong[:3]
        flow.expected = list(dict.fromkeys((one.order_id, one.name[1]) for one in run.found()))
        assert flow.await_settled().clean, str(flow.check())
        for name in ("GATEWAY-2", "entry-0", "entry-1", "bulk", "engine"):
            run.end(name)
