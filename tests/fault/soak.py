"""`python -m fault.soak MINUTES SEED FOLDER [REBALANCE]`: deliveries and faults at random, then everything is compared.
REBALANCE: how the services share the partitions (eager, cooperative, consumer); drawn when it is not said.

Ends with 0 when nothing was lost or doubled, else with 1; writes a report and a picture, and their place.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import psutil

from fault import drivers, service
from fault.report import read_history, write_report
from fault.run import Run
from fault.warehouse_line import Lose, WarehouseLine
from fault.workload import DAY
from fault.world import World, host_of, world
from feedline.consumer.pipeline_policy import Rebalance
from feedline.local.registry import registry_healthy

RECORDS = 1_500
DELIVERY_EVERY_S = 12.0
CALM_S = (2.0, 6.0)
FAULT_S = (3.0, 12.0)
SAMPLE_S = 4.0


@dataclass
class Soak:
    """The state of one soak: what runs, what was fired and how it was seen to fire."""

    run: Run
    line: WarehouseLine
    random: random.Random
    deliveries: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    proven: Counter[str] = field(default_factory=Counter)
    bag: list[str] = field(default_factory=list)
    last: str = ""
    stepped: set[str] = field(default_factory=set)

    @property
    def world(self) -> World:
        return self.run.world

    def go_on(self, minutes: float) -> None:
        """Deliveries and faults for so long, a line of progress after each fault."""
        started, next_delivery = time.monotonic(), 0.0
        while (now := time.monotonic()) < started + minutes * 60:
            if now >= next_delivery:
                self.deliver()
                next_delivery = now + DELIVERY_EVERY_S
            self.run.wait(self.random.uniform(*CALM_S))
            self.fire()
            told = f"{(now - started) / 60:4.1f} min, {self.deliveries} deliveries, {self.fired.total()} faults"
            sys.stderr.write(f"{told}, {self.proven.total()} seen to fire; the last: {self.last}\n")

    def deliver(self) -> None:
        """One more delivery, every third of them record by record."""
        name, day = f"producer-{self.deliveries}", DAY + timedelta(days=self.deliveries)
        if self.deliveries % 3 == 2:
            ids = tuple(self.run.workload.new_ids(RECORDS // 3))
            self.run.start(drivers.stream, name, ids=ids, pace_s=0.01, day=day)
        else:
            self.produce(name, day)
        self.deliveries += 1

    def produce(self, name: str, day: date, clock_step: timedelta | None = None) -> None:
        self.run.workload.land(day, RECORDS, bad=2)
        self.run.start(drivers.produce, name, day=day, pace_s=0.5, clock_step=clock_step)

    def fire(self) -> None:
        """One fault, drawn at random and taken back after a while; none is drawn again before each has been."""
        if not self.bag:
            self.bag = self.random.sample(list(FAULTS), len(FAULTS))
        name = self.last = self.bag.pop()
        self.fired[name] += 1
        self.proven[name] += FAULTS[name](self)

    def linger(self) -> None:
        self.run.wait(self.random.uniform(*FAULT_S))

    def broker(self) -> int:
        return self.random.choice(self.world.cluster.nodes)

    def peers(self, node: int) -> list[str]:
        return [host_of(other) for other in self.world.cluster.nodes if other != node]

    def alive(self, kind: str) -> list[str]:
        """Drivers of a kind that have something to do and are there."""
        actors = self.run.actors.items()
        return [name for name, actor in actors if name.startswith(kind) and not actor.done and actor.process.is_alive()]

    def clocks(self) -> None:
        """Counts the clock steps that a producer was seen to read."""
        read = {one["who"] for one in self.run.events("clock")}
        self.proven["clock stepped"] = len(self.stepped & read)


def _kill(kind: str) -> Callable[[Soak], bool]:
    """SIGKILL of one of a kind that is alive now."""

    def kill(soak: Soak) -> bool:
        if kind == "producer" and not soak.alive(kind):
            soak.deliver()
        soak.run.wait_for(lambda: bool(soak.alive(kind)), f"a {kind} is there to be killed")
        return soak.run.kill(soak.random.choice(soak.alive(kind)))

    return kill


def _pause_driver(soak: Soak) -> bool:
    """For longer than its session in the group lasts, or not as long."""
    alive = soak.alive("loader") + soak.alive("service") + soak.alive("producer")
    if not alive:
        return False
    name = soak.random.choice(alive)
    try:
        process = psutil.Process(soak.run.actors[name].process.pid)
        process.suspend()
    except psutil.NoSuchProcess:
        return False
    soak.run.fault(f"SIGSTOP of {name}", pid=process.pid)
    soak.run.wait(1)
    stopped = process.status() == psutil.STATUS_STOPPED
    soak.linger()
    process.resume()
    return bool(stopped)


def _step_clock(soak: Soak) -> bool:
    """One more delivery, by a producer whose clock jumps meanwhile."""
    name, day = f"producer-{soak.deliveries}", DAY + timedelta(days=soak.deliveries)
    by = soak.random.choice([-1, 1]) * timedelta(hours=soak.random.randint(1, 48))
    soak.deliveries += 1
    soak.produce(name, day, clock_step=by)
    soak.run.fault(f"the clock of {name} jumps by {by}")
    soak.stepped.add(name)
    soak.linger()
    # Whether it has read the new time is known when its delivery has ended.
    return False


def _kill_broker(soak: Soak) -> bool:
    node = soak.broker()
    soak.run.fault(f"SIGKILL of broker {node}", pid=soak.world.cluster.kill(node))
    gone = soak.world.cluster.pid(node) is None
    soak.linger()
    soak.world.cluster.start(node)
    return gone


def _pause_broker(soak: Soak) -> bool:
    node = soak.broker()
    soak.run.fault(f"SIGSTOP of broker {node}", pid=soak.world.cluster.pause(node))
    stopped = soak.world.cluster.is_stopped(node)
    soak.linger()
    soak.world.cluster.resume(node)
    return stopped


def _kill_two_brokers(soak: Soak) -> bool:
    nodes = soak.random.sample(soak.world.cluster.nodes, 2)
    soak.run.fault(f"SIGKILL of brokers {nodes[0]} and {nodes[1]}", pids=[soak.world.cluster.kill(n) for n in nodes])
    gone = all(soak.world.cluster.pid(node) is None for node in nodes)
    soak.linger()
    soak.world.cluster.start(*nodes)
    return gone


def _cut_off_broker(soak: Soak) -> bool:
    node = soak.broker()
    return _cut(soak, f"network cut between broker {node} and the others", host_of(node), soak.peers(node))


def _cut_off_wholly(soak: Soak) -> bool:
    node = soak.broker()
    return _cut(soak, f"broker {node} cut off the network", host_of(node), [*soak.peers(node), "client"])


def _cut_off_clients(soak: Soak) -> bool:
    node = soak.broker()
    return _cut(soak, f"network cut between clients and broker {node}", host_of(node), ["client"])


def _cut(soak: Soak, what: str, host: str, others: list[str]) -> bool:
    network = soak.world.network
    network.held.clear()
    network.isolate(host, others)
    soak.run.fault(what)
    soak.linger()
    network.heal()
    return sum(network.held.values()) > 0


def _cut_warehouse(soak: Soak) -> bool:
    before = sum(soak.line.lost.values())
    statement, when = soak.random.choice(["", "COMMIT"]), soak.random.choice(list(Lose))
    soak.line.lose(statement, when)
    soak.run.fault(f"line to the warehouse cut at {statement or 'anything'}, {when}")
    soak.linger()
    soak.line.heal()
    return sum(soak.line.lost.values()) > before


def _cut_warehouse_off(soak: Soak) -> bool:
    before = soak.line.refused
    soak.line.cut()
    soak.run.fault("nothing passes to the warehouse")
    soak.linger()
    soak.line.heal()
    return soak.line.refused > before


def _kill_registry(soak: Soak) -> bool:
    soak.run.fault("SIGKILL of the registry", pid=soak.world.stop_registry())
    soak.linger()
    gone = not registry_healthy(soak.world.registry_config.url)
    soak.world.start_registry()
    return gone


FAULTS: dict[str, Callable[[Soak], bool]] = {
    "producer killed": _kill("producer"),
    "loader killed": _kill("loader"),
    "service killed": _kill("service"),
    "process paused": _pause_driver,
    "clock stepped": _step_clock,
    "broker killed": _kill_broker,
    "broker paused": _pause_broker,
    "two brokers killed": _kill_two_brokers,
    "broker cut off from its peers": _cut_off_broker,
    "broker cut off from clients": _cut_off_clients,
    "broker cut off the network": _cut_off_wholly,
    "line to the warehouse broken at a statement": _cut_warehouse,
    "line to the warehouse cut": _cut_warehouse_off,
    "registry killed": _kill_registry,
}


def _keep(state: Soak, out: Path) -> None:
    """What lies in the run's folder and the services' logs tells why; the temporary folder will be gone."""
    shutil.copytree(state.run.folder, out / "run")
    shutil.copytree(state.world.home / "logs", out / "logs")
    for messages in state.world.home.glob("kafka-*/data/*"):
        if messages.name.startswith(state.run.workload.feed.topic.name):
            shutil.copytree(messages, out / "data" / messages.parts[-3] / messages.name)


def soak(minutes: float, seed: int, out: Path, rebalance: Rebalance | None) -> bool:
    """Whether nothing was lost or doubled."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="feedline-soak-") as home, world(Path(home)) as made:
        line = WarehouseLine(made.settings.warehouse["port"])
        with Run(made, partitions=24, seed=seed, name=f"soak of {minutes:g} minutes", sample_s=SAMPLE_S) as run:
            state = Soak(run, line, chance)
            through = {**run.settings.warehouse, "port": line.port, "network_timeout": 5}
            run.start(drivers.witness, "witness")
            settings = replace(run.settings, warehouse=through)
            drawn = chance.choice(list(Rebalance))
            shared = (rebalance or drawn).value
            # Two ways of loading the same feed, which must not get in each other's way either.
            for number in range(2):
                run.start(drivers.load, f"loader-{number}", settings=settings, chunk_batches=30)
                more = {"--rebalance": shared}
                run.start(service.serve, f"service-{number}", settings=settings, chunk_batches=30, more=more)
            try:
                state.go_on(minutes)
                made.mend()
                line.heal()
                verdict = run.finish(within_s=600)
            except BaseException:
                _keep(state, out)
                raise
            if not verdict.clean:
                _keep(state, out)
            state.clocks()
            found = {finding.name: finding.count for finding in verdict.findings}
            told = [
                f"seed {seed}, {minutes:g} minutes, {state.deliveries} deliveries, rebalances: {shared}",
                f"records sent: {verdict.counts['source']}",
                f"records in the table: {verdict.counts['in the table']}",
                f"records on the error topic: {verdict.counts['on the error topic']}",
                *(f"{name}: fired {times}, proven {state.proven[name]}" for name, times in state.fired.items()),
                f"drivers tried again: {sum(len(actor.exits) - 1 for actor in run.actors.values() if actor.exits)}",
                f"lost: {found.get('lost write', 0) + found.get('unseen', 0)}, doubled: {found.get('duplicate', 0)}",
                f"verdict: {verdict}",
            ]
            report = write_report([read_history(run.name, run.folder)], out)
            summary = "\n".join(told)
            report.write_text(f"{report.read_text()}\n## Summary\n\n```\n{summary}\n```\n", encoding="utf-8")
        line.close()
    sys.stdout.write(f"{summary}\nreport: {report}\n")
    return verdict.clean


if __name__ == "__main__":
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    minutes, seed, folder, *rebalance = sys.argv[1:]
    good = soak(float(minutes), int(seed), Path(folder) / stamp, next(map(Rebalance, rebalance), None))
    sys.exit(0 if good else 1)
