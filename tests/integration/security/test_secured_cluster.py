"""On real brokers over SASL_SSL: each service may do what it must and nothing else, and passwords and certificates
change under clients that go on working."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from tests.integration.security.feed_rights import ADMIN_ATTEMPTS, GROUPS_OF

from feedline.errors import AuthenticationError
from feedline.kafka.admin import admin_client, partition_count
from feedline.kafka.config import consumer_config, producer_config
from feedline.kafka.errors import translate
from feedline.kafka.renewal import open_client
from feedline.local.ports import HOST
from feedline.local.secured_cluster import renew_certificates
from feedline.security.principals import Service
from feedline.security.rotation import rotate_password, served_certificate
from feedline.security.secret_file import write_secret

# By hand, from the table of docs/security.md and not from the declared rules: a second opinion of them.
KEPT = "read kept schemas"
MAY = {
    Service.PRODUCER: {"send records", "send refused records", KEPT},
    Service.LOADER: {
        "read records", "send refused records", "read refused records", "move the loaders' offsets", "see lag", KEPT,
        "commit as watch", "commit as errors", "commit as replay", "commit as samples",
    },
    Service.WATCHER: {"read records", "read refused records", "see lag", "commit as watch", KEPT},
    Service.REDRIVE: {"send records", "read refused records", "commit as errors", KEPT},
    Service.REPLAY: {
        "read records", "read refused records", "send refused records", "see lag", "commit as replay", KEPT,
    },
    Service.METADATA: {"read records", "commit as samples", KEPT, "keep schemas"},
    Service.PROVISIONING: {
        "make a topic of ours", "delete a topic of ours", "change a topic of ours", "empty a topic of ours",
        "grow a topic of ours", "see settings of a topic of ours", "see settings of brokers", "change a broker",
        "give passwords", "give rights", KEPT,
    },
    Service.REGISTRY: {"send schemas", "read schemas", "transact as bulk entry"},
    Service.MONITOR: {"see lag"},
    "custodian-one": {"send records"},
}  # fmt: skip
NOBODY_MAY = {"send elsewhere", "read elsewhere", "make any topic", "delete any topic", "change any topic",
              "forget a group"}  # fmt: skip
# What each attempt that a client makes is refused for; those of an admin client say it themselves.
REFUSED_FOR = {
    **dict.fromkeys(("move the loaders' offsets", "see lag"), KafkaError.GROUP_AUTHORIZATION_FAILED),
    **dict.fromkeys(("give passwords", "give rights"), KafkaError.CLUSTER_AUTHORIZATION_FAILED),
    "transact as bulk entry": KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    **{name: code for name, (_, code) in ADMIN_ATTEMPTS.items()},
}
REGISTRY_REFUSED_FOR = {
    # Its groups have random names, so it may read under any; what it commits it still has to be able to read.
    **dict.fromkeys(
        ("move the loaders' offsets", "see lag", *(f"commit as {name}" for name in GROUPS_OF)),
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    ),
    # It may not even see the topic: the client finds no leader to ask.
    "empty a topic of ours": KafkaError._NOENT,
}


# What a broker says that was started a moment ago, and is nobody's right or wrong.
NOT_YET = (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR)


def _refused(attempt, secured, kafka):
    """None when the attempt is allowed, else the code it is refused with."""
    deadline = time.monotonic() + 60
    while True:
        try:
            attempt(secured, kafka)
        except KafkaException as error:
            code = error.args[0].code()
            if code not in NOT_YET or time.monotonic() > deadline:
                return code
            time.sleep(0.2)
        else:
            return None


@pytest.mark.parametrize("service", MAY, ids=str)
def test_a_service_may_do_what_it_must_and_nothing_else(service, secured, attempts):
    kafka = secured.kafka(service)
    admin = admin_client(kafka)
    with ThreadPoolExecutor(8) as pool:
        futures = {name: pool.submit(_refused, attempt, secured, kafka) for name, attempt in attempts.items()}
        futures |= {
            name: pool.submit(_refused, attempt, secured, admin) for name, (attempt, _) in ADMIN_ATTEMPTS.items()
        }
        found = {name: future.result() for name, future in futures.items()}
    codes = REFUSED_FOR | (REGISTRY_REFUSED_FOR if service is Service.REGISTRY else {})
    expected = {
        name: None if name in MAY[service] else codes.get(name, KafkaError.TOPIC_AUTHORIZATION_FAILED) for name in found
    }
    assert found == expected
    # Each attempt is made by one at least who may, but those that nobody may: it is no refusal of something else.
    assert set().union(*MAY.values(), NOBODY_MAY) == set(found)


def test_nobody_gets_in_without_a_password_or_without_tls(secured):
    kafka = secured.kafka(Service.LOADER)
    for wrong in (
        {**kafka, "sasl.password": "wrong"},
        {**kafka, "sasl.username": "nobody"},
    ):
        with pytest.raises(AuthenticationError):
            partition_count_of(wrong, secured)
    for closed in (
        {"bootstrap.servers": kafka["bootstrap.servers"]},
        {name: value for name, value in kafka.items() if name != "ssl.ca.location"},
        # The listener of brokers wants a certificate that the authority gave.
        {**secured.plan.admin, "ssl.certificate.location": "", "ssl.key.location": ""},
    ):
        with pytest.raises(KafkaException):
            admin_client(closed, log_level=0).list_topics(timeout=2)


def partition_count_of(kafka, secured):
    refused = []
    admin = admin_client(kafka, log_level=0, error_cb=refused.append)
    deadline = time.monotonic() + 30
    while not any(error.code() == KafkaError._AUTHENTICATION for error in refused) and time.monotonic() < deadline:
        admin.poll(0.1)
    for error in refused:
        if error.code() == KafkaError._AUTHENTICATION:
            raise translate(error)
    return partition_count(admin, secured.topic.name)


class Traffic:
    """A producer and a consumer that never stop: what was acknowledged, what came, what went wrong."""

    def __init__(self, secured):
        self.acknowledged, self.seen, self.errors = set(), [], []
        self._sent = 0
        self._topic = secured.topic.name
        self._stop = threading.Event()
        producing = producer_config(secured.kafka(Service.PRODUCER)) | {"error_cb": self._failed}
        # Not read_committed's end, so that the consumer sees what is there at once.
        consuming = consumer_config(secured.kafka(Service.LOADER), group_id="feedline.rotation") | {
            "error_cb": self._failed, "auto.offset.reset": "earliest",
        }  # fmt: skip
        self._producer = open_client(Producer, producing)
        self._consumer = open_client(Consumer, consuming)
        self._threads = [threading.Thread(target=self._produce), threading.Thread(target=self._consume)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def sent(self):
        return self._sent

    def _failed(self, error):
        if error.code() == KafkaError._AUTHENTICATION:
            self.errors.append(error)

    def _produce(self):
        while not self._stop.is_set():
            number = str(self._sent).encode()
            self._producer.produce(self._topic, number, key=b"rotation", on_delivery=self._report)
            self._sent += 1
            self._producer.poll(0.02)
        self.left = self._producer.flush(60)
        self._producer.close()

    def _report(self, error, message):
        if error is None:
            self.acknowledged.add(int(message.value()))
        else:
            self.errors.append(error)

    def _consume(self):
        self._consumer.subscribe([self._topic])
        deadline = None
        while deadline is None or (not set(self.seen) >= self.acknowledged and time.monotonic() < deadline):
            message = self._consumer.poll(0.2)
            if message is not None and message.error() is None and message.key() == b"rotation":
                self.seen.append(int(message.value()))
            if self._stop.is_set() and deadline is None and not self._threads[0].is_alive():
                deadline = time.monotonic() + 60
        self._consumer.close()

    def goes_on(self, more=50, within_s=120):
        """Waits until so many more messages were acknowledged and seen."""
        acknowledged, seen = len(self.acknowledged) + more, len(self.seen) + more
        deadline = time.monotonic() + within_s
        while len(self.acknowledged) < acknowledged or len(self.seen) < seen:
            assert time.monotonic() < deadline, "the traffic stopped"
            time.sleep(0.05)


@pytest.mark.long
def test_passwords_and_certificates_change_under_clients_that_go_on(secured):
    admin = admin_client(secured.plan.admin)
    ports = [ports.broker for ports in secured.plan.config.ports.values()]
    before = {port: served_certificate(HOST, port, secured.plan.files.ca) for port in ports}
    with Traffic(secured) as traffic:
        traffic.goes_on()
        for node in (1, 2):
            for user in (Service.PRODUCER, Service.LOADER):
                rotate_password(admin, str(user), secured.plan.password_file(str(user)))
            renew_certificates(secured.plan)
            traffic.goes_on()
            # Whoever is connected stays so: now all have to connect again to this one, with what is new.
            secured.nodes.stop(node)
            secured.nodes.start(node)
            traffic.goes_on()
    assert traffic.left == 0
    assert traffic.errors == []
    assert traffic.acknowledged == set(range(traffic.sent))
    assert sorted(set(traffic.seen)) == sorted(traffic.acknowledged)
    after = {port: served_certificate(HOST, port, secured.plan.files.ca) for port in ports}
    assert all(before[port] != after[port] for port in ports)


def test_a_rotation_that_was_killed_is_finished_by_the_next(secured):
    admin = admin_client(secured.plan.admin)
    user = str(Service.MONITOR)
    file = secured.plan.password_file(user)
    # As a kill leaves it between the cluster and the file.
    pending = file.with_name(f"{file.name}.next")
    write_secret(pending, "told-to-the-cluster-only")
    rotate_password(admin, user, file)
    assert file.read_text() == "told-to-the-cluster-only"
    assert not pending.exists()
    assert partition_count(admin_client(secured.kafka(user)), secured.topic.name) == 3


def test_the_old_password_is_refused_after_a_rotation(secured):
    user = str(Service.MONITOR)
    old = secured.plan.password_file(user).read_text()
    rotate_password(admin_client(secured.plan.admin), user, secured.plan.password_file(user))
    with pytest.raises(AuthenticationError):
        partition_count_of({**secured.kafka(user), "sasl.password": old}, secured)
