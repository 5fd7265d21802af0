"""A plan says what has to be done, with its risk; applied to a model of an installation, nothing is left to do."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedline.catalog import load_catalog
from feedline.errors import ConfigurationError, LostRaceError
from feedline.kafka.quotas import QuotaOf
from feedline.orders.topics import OrderTopics
from feedline.provisioning import audit
from feedline.provisioning.apply import apply
from feedline.provisioning.desired import declared_orders, read_desired
from feedline.provisioning.drift import drift
from feedline.provisioning.plan import Allow, Risk, plan, plan_destroy
from feedline.provisioning.state import Actual, Desired, Limits, Part, SubjectState, TopicState, WantedSubject
from feedline.security.principals import Rule
from feedline.settings import Settings

DAY_MS = 86_400_000


def topic(name="T", partitions=4, factor=1, days=5, records=0):
    return TopicState(name, partitions, factor, {"retention.ms": str(days * DAY_MS)}, records)


def desired(*topics, **others):
    return Desired(topics={one.name: one for one in topics}, control_tables=False, **others)


def actual(*topics, **others):
    return Actual("c", 3, topics={one.name: one for one in topics}, **others)


def only(found):
    assert len(found.changes) == 1, found.changes
    return found.changes[0]


class Model:
    """An installation in memory: a change is made by making what is there so."""

    def __init__(self, wanted, there):
        self.wanted, self.there, self.asked = wanted, there, 0

    def plan(self):
        return plan(self.wanted, self.there)

    def perform(self, changes):
        self.asked += len(changes)
        for one in changes:
            self._make(one)

    def _make(self, one):
        there = self.there
        if one.part is Part.USERS:
            self.there = replace(there, users=there.users | {one.target})
        elif one.part is Part.QUOTAS:
            of = next(of for of in self.wanted.quotas if str(of) == one.target)
            values = {**there.quotas.get(of, {}), **one.after}
            kept = {key: value for key, value in values.items() if value is not None}
            self.there = replace(there, quotas={**there.quotas, of: kept})
        elif one.part is Part.RULES:
            made = {rule for rule in self.wanted.rules if str(rule) == one.target}
            self.there = replace(there, rules=there.rules | made)
        elif one.part is Part.SCHEMAS:
            has = there.subjects[one.target]
            changed = (
                replace(has, level=one.after)
                if one.action == "set level"
                else replace(has, has_wanted=True, versions=has.versions + 1)
            )
            self.there = replace(there, subjects={**there.subjects, one.target: changed})
        else:
            topics = dict(there.topics)
            if one.action == "create":
                topics[one.target] = TopicState(
                    one.target, one.after["partitions"], one.after["replication_factor"], one.after["config"]
                )
            elif one.action == "delete":
                del topics[one.target]
            elif one.action == "grow":
                topics[one.target] = replace(topics[one.target], partitions=one.after)
            elif one.action == "reassign":
                topics[one.target] = replace(topics[one.target], replication_factor=one.after)
            elif one.action == "release":
                topics[one.target] = replace(topics[one.target], throttled=False)
            else:
                has = topics[one.target]
                topics[one.target] = replace(has, config={**has.config, **one.after})
            self.there = replace(there, topics=topics)


def test_what_is_missing_is_made_in_order():
    rule = Rule("somebody", "TOPIC", "T", "READ")
    wanted = desired(
        topic(),
        users={"somebody": {"env": "P"}},
        rules=frozenset({rule}),
        subjects={"S": WantedSubject("S", {"type": "string"}, level="BACKWARD")},
    )
    found = plan(wanted, actual(subjects={"S": SubjectState()}))
    assert [(one.part.value, one.action) for one in found.changes] == [
        ("users", "create"), ("rules", "allow"), ("topics", "create"),
        ("schemas", "register"), ("schemas", "set level"),
    ]  # fmt: skip
    assert {one.risk for one in found.changes} == {Risk.SAFE}
    assert found.held() == ()


def test_partitions_are_raised_and_never_taken_away():
    grown = only(plan(desired(topic(partitions=6)), actual(topic())))
    assert (grown.action, grown.before, grown.after, grown.risk) == ("grow", 4, 6, Risk.SAFE)
    shrunk = plan(desired(topic(partitions=3)), actual(topic()))
    assert only(shrunk).risk is Risk.IRREVERSIBLE
    assert shrunk.held(list(Allow)) == shrunk.changes


def with_minimum(one, replicas):
    return replace(one, config={**one.config, "min.insync.replicas": str(replicas)})


def test_records_are_taken_all_the_while_that_replicas_are_raised_or_lowered(tmp_path):
    small, large = with_minimum(topic(factor=1), 1), with_minimum(topic(factor=3), 2)
    raised = plan(desired(large), actual(small))
    assert [(one.action, one.needs) for one in raised.changes] == [("reassign", None), ("set", None)]
    lowered = plan(desired(small), actual(large))
    assert [(one.action, one.needs) for one in lowered.changes] == [("set", None), ("reassign", Allow.FEWER_REPLICAS)]
    model = Model(desired(large), actual(small))
    apply(model.plan(), model, tmp_path / "journal")
    assert model.plan().changes == ()


def test_more_replicas_than_brokers_are_refused_before_anything_is_begun():
    assert "3 brokers" in plan(desired(topic(factor=4)), actual(topic(factor=3))).problems[0]


def test_a_throttle_that_a_killed_reassignment_left_is_taken_away(tmp_path):
    model = Model(desired(topic()), actual(replace(topic(), throttled=True)))
    assert only(model.plan()).action == "release"
    apply(model.plan(), model, tmp_path / "journal")
    assert model.plan().changes == ()


def test_quotas_that_are_named_are_set_and_others_left_alone(tmp_path):
    of, everyone = QuotaOf("a"), QuotaOf("*", "c")
    wanted = desired(
        quotas={of: {"producer_byte_rate": 5.0, "request_percentage": None}, everyone: {"consumer_byte_rate": 1.0}}
    )
    there = actual(quotas={of: {"producer_byte_rate": 4.0, "consumer_byte_rate": 9.0, "request_percentage": 2.0}})
    model = Model(wanted, there)
    found = model.plan()
    assert [one.target for one in found.changes] == ["user * client c", "user a"]
    assert drift(found)[1] == (
        "quotas user a: producer_byte_rate is 4.0, declared 5.0; "
        "quotas user a: request_percentage is 2.0, declared nothing"
    )
    apply(found, model, tmp_path / "journal")
    assert model.there.quotas[of] == {"producer_byte_rate": 5.0, "consumer_byte_rate": 9.0}
    assert model.plan().changes == ()


def test_a_longer_retention_is_set_and_a_shorter_one_needs_its_word():
    longer = only(plan(desired(topic(days=9)), actual(topic())))
    assert (longer.action, longer.risk, longer.needs) == ("set", Risk.CAUTION, None)
    assert only(plan(desired(topic(days=1)), actual(topic()))).needs is Allow.SHORTEN_RETENTION
    for_ever = replace(topic(), config={"retention.ms": "-1"})
    assert only(plan(desired(topic()), actual(for_ever))).needs is Allow.SHORTEN_RETENTION
    assert only(plan(desired(for_ever), actual(topic()))).needs is None


def test_a_topic_with_records_is_deleted_with_the_word_only():
    wanted = desired(absent=frozenset({"OLD"}))
    empty = only(plan(wanted, actual(topic("OLD"))))
    assert (empty.action, empty.needs) == ("delete", None)
    full = only(plan(wanted, actual(topic("OLD", records=7))))
    assert (full.needs, full.risk, full.before["records"]) == (Allow.DELETE_DATA, Risk.IRREVERSIBLE, 7)


def test_what_is_not_declared_is_left_alone():
    assert plan(desired(topic()), actual(topic(), topic("OTHER"))).changes == ()
    assert [one.target for one in plan_destroy(desired(topic()), actual(topic(), topic("OTHER"))).changes] == ["T"]


@pytest.mark.parametrize("name", ["__consumer_offsets", "_schemas", "kafkasql-journal", "feedline.schemas"])
def test_an_internal_topic_cannot_be_declared(name):
    with pytest.raises(ConfigurationError, match="internal"):
        desired(topic(name))
    with pytest.raises(ConfigurationError, match="internal"):
        desired(absent=frozenset({name}))


def test_tables_are_made_and_a_column_is_dropped_with_the_word_only():
    catalog = load_catalog()
    feed = catalog.feed("accounts")
    from feedline.warehouse.layout import feed_layout

    wanted = replace(desired(), feeds=((feed, feed_layout(feed)),), dropped_columns=(("ACCOUNTS", "OLD"),))
    made = plan(wanted, actual(), [Part.TABLES])
    assert only(made).target == "accounts"
    there = {"FEEDLINE.IHUB.ACCOUNTS": {"OLD": None}}
    dropped = [one for one in plan(wanted, actual(tables=there), [Part.TABLES]).changes if one.action == "drop"]
    assert [one.needs for one in dropped] == [Allow.DROP_COLUMN]


def test_limits_are_checked_before_anything_is_begun(tmp_path):
    wanted = desired(topic(partitions=100, factor=5), limits=Limits(topics=1, replicas_per_broker=10))
    model = Model(wanted, actual(all_topics=1))
    found = model.plan()
    assert len(found.problems) == 3
    with pytest.raises(ConfigurationError, match="nothing was changed"):
        apply(found, model, tmp_path / "journal")
    assert model.asked == 0


def test_what_needs_a_word_stops_the_whole_before_it_begins(tmp_path):
    model = Model(desired(topic(days=1), topic("NEW")), actual(topic()))
    with pytest.raises(ConfigurationError, match="--allow shorten-retention"):
        apply(model.plan(), model, tmp_path / "journal")
    assert model.asked == 0
    apply(model.plan(), model, tmp_path / "journal", allow=[Allow.SHORTEN_RETENTION])
    assert model.plan().changes == ()


def test_what_was_left_out_on_purpose_stays_out(tmp_path):
    model = Model(desired(topic(days=1), topic("NEW")), actual(topic()))
    found = model.plan()
    apply(found.without(found.held()), model, tmp_path / "journal")
    assert [one.action for one in model.plan().changes] == ["set"]


def test_a_plan_that_is_old_is_refused(tmp_path):
    model = Model(desired(topic(partitions=6)), actual(topic()))
    shown = model.plan()
    model.there = actual(topic(partitions=5))
    with pytest.raises(LostRaceError, match="plan again"):
        apply(shown, model, tmp_path / "journal")
    assert model.asked == 0


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_apply_that_broke_is_gone_on_with(tmp_path, after):
    model = Model(desired(*(topic(f"T{n}") for n in range(5))), actual())

    def killed(done, _total, _change):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(model.plan(), model, tmp_path / "journal", progress=killed, step=1)
    assert len(model.there.topics) == after
    assert len(apply(model.plan(), model, tmp_path / "journal")) == 5 - after
    assert model.plan().changes == ()
    assert model.asked == 5


def test_what_went_on_by_itself_after_a_kill_does_not_stop_the_rest(tmp_path):
    model = Model(desired(topic("A", factor=3), topic("B", partitions=6)), actual(topic("A"), topic("B")))

    class Killed(Model):
        def perform(self, changes):
            raise KeyboardInterrupt

    killed = Killed(model.wanted, model.there)
    with pytest.raises(KeyboardInterrupt):
        apply(killed.plan(), killed, tmp_path / "journal")
    shown = model.plan()
    # The cluster has moved the replicas since the plan was shown, and the bound of the killed apply is left.
    model.there = actual(replace(topic("A", factor=3), throttled=True), topic("B"))
    assert [one.action for one in apply(shown, model, tmp_path / "journal")] == ["release", "grow"]
    assert model.plan().changes == ()


def test_other_changes_than_those_left_are_not_slipped_into_a_resumed_apply(tmp_path):
    model = Model(desired(topic("A"), topic("B")), actual())

    def killed(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(model.plan(), model, tmp_path / "journal", progress=killed, step=1)
    model.wanted = desired(topic("A"), topic("B"), topic("C"))
    with pytest.raises(LostRaceError, match="other changes are due"):
        apply(model.plan(), model, tmp_path / "journal")
    apply(model.plan(), model, tmp_path / "another")


def test_a_journal_whose_last_line_was_cut_off_is_read(tmp_path):
    journal = tmp_path / "journal"
    model = Model(desired(topic("A")), actual())
    journal.write_text('{"plan": "x", "places": [["topics", "A"]]}\n{"begin": [["to')
    apply(model.plan(), model, journal)
    assert json.loads(journal.read_text().splitlines()[-1]) == {"end": True}


_names = st.sampled_from(["A", "B", "C"])
_topics = st.dictionaries(
    _names,
    st.tuples(st.integers(1, 9), st.sampled_from([1, 5, 9]), st.integers(1, 3)),
).map(lambda found: [topic(name, size, factor, days) for name, (size, days, factor) in found.items()])
_rules = st.frozensets(st.builds(Rule, _names, st.just("TOPIC"), _names, st.sampled_from(["READ", "WRITE"])))


@given(_topics, _topics, st.tuples(_rules, _rules), st.tuples(st.sets(_names), st.frozensets(_names)))
def test_after_an_apply_nothing_but_what_cannot_be_made_is_left(wanted, there, both_rules, both_users):
    (rules, has), (users, known) = both_rules, both_users
    model = Model(
        desired(*wanted, rules=rules, users={name: {"env": name} for name in users}),
        actual(*there, rules=has, users=known),
    )
    undeclared = {name: one for name, one in model.there.topics.items() if name not in model.wanted.topics}
    found = model.plan()
    blocked = found.held(list(Allow))
    with tempfile.TemporaryDirectory() as folder:
        apply(found.without(blocked), model, Path(folder) / "journal", allow=list(Allow))
        asked = model.asked
        assert model.plan().changes == blocked
        apply(model.plan().without(blocked), model, Path(folder) / "journal", allow=list(Allow))
    assert model.asked == asked
    assert undeclared.items() <= model.there.topics.items()


def test_drift_is_told_in_sentences():
    lines = drift(plan(desired(topic()), actual(topic(days=1))))
    assert lines == [f"topics T: retention.ms is {DAY_MS}, declared {5 * DAY_MS}"]


def _settings(**kafka):
    return Settings(kafka=kafka, registry={}, warehouse={}, landing=Path("landing"), replication_factor=1)


def test_the_shipped_file_declares_the_catalogue():
    catalog = load_catalog()
    found = read_desired(_settings(), catalog)
    of_feeds = {name for one in catalog.topics() for name in (one.name, one.error_topic)}
    assert set(found.topics) == of_feeds | set(OrderTopics().names)
    assert {found.topics[name].config["retention.ms"] for name in of_feeds} == {str(5 * DAY_MS)}
    assert {one.replication_factor for one in found.topics.values()} == {1}
    assert len(found.subjects) == len(catalog.feeds) + len(catalog.topics()) + 3
    assert "plain text" in found.notes[0]


def test_orders_are_declared_with_their_section_and_not_without(tmp_path):
    file = tmp_path / "provisioning.yaml"
    file.write_text("orders: {partitions: 6}")
    settings = replace(_settings(**{"security.protocol": "SASL_SSL"}), replication_factor=None)
    found = read_desired(settings, load_catalog(), file)
    assert declared_orders(file) == OrderTopics(partitions=6)
    states, out = found.topics["orders.states"], found.topics["orders.out"]
    assert (out.partitions, out.replication_factor, out.config["min.insync.replicas"]) == (6, 3, "2")
    assert (states.config["cleanup.policy"], "retention.ms" in states.config) == ("compact", False)
    assert found.topics["orders.ERROR"].partitions == 1
    assert Rule("feedline-gateway", "TOPIC", "orders.states", "WRITE") in found.rules
    assert "orders" in [one.target for one in plan(found, actual(), [Part.TABLES]).changes]
    file.write_text("limits: {topics: 10}")
    without = read_desired(settings, load_catalog(), file)
    assert not any("orders." in name for name in (*without.topics, *without.subjects, *map(str, without.rules)))
    file.write_text("orders: {partition: 6}")
    with pytest.raises(ConfigurationError, match="partition"):
        read_desired(settings, load_catalog(), file)


def test_a_topic_whose_keys_share_a_partition_is_not_grown(tmp_path):
    model = Model(desired(replace(topic(partitions=6), keyed=True), topic("NEW")), actual(topic()))
    with pytest.raises(ConfigurationError, match="share a partition"):
        apply(model.plan(), model, tmp_path / "journal", allow=list(Allow))
    assert model.asked == 0


def test_a_custodian_has_rules_and_a_password_by_reference_only(tmp_path):
    file = tmp_path / "provisioning.yaml"
    catalog = load_catalog()
    name = catalog.topics()[0].name
    file.write_text(f"custodians: {{one: {{topic: {name}, password: {{env: ONE}}}}}}")
    secured = _settings(**{"security.protocol": "SASL_SSL"})
    found = read_desired(secured, catalog, file)
    assert found.users == {"one": {"env": "ONE"}}
    assert Rule("one", "TOPIC", name, "WRITE") in found.rules
    file.write_text(f"custodians: {{one: {{topic: {name}, password: open sesame}}}}")
    with pytest.raises(ConfigurationError) as refused:
        read_desired(secured, catalog, file)
    assert "sesame" not in str(refused.value)


def test_a_quota_of_a_user_needs_a_cluster_that_knows_users(tmp_path):
    file = tmp_path / "provisioning.yaml"
    file.write_text(
        "quotas: [{user: a, producer_byte_rate: 5, request_percentage: null}, {client: '*', consumer_byte_rate: 7}]"
    )
    clients = {QuotaOf(client="*"): {"consumer_byte_rate": 7.0}}
    assert read_desired(_settings(), load_catalog(), file).quotas == clients
    users = {QuotaOf("a"): {"producer_byte_rate": 5.0, "request_percentage": None}}
    secured = _settings(**{"security.protocol": "SASL_SSL"})
    assert read_desired(secured, load_catalog(), file).quotas == {**users, **clients}


@pytest.mark.parametrize(
    "text",
    [
        "quotas: [{user: a}]",
        "quotas: [{producer_byte_rate: 1}]",
        "quotas: [{user: a, producer_byte_rate: -1}]",
        "quotas: [{user: a, producer_byte_rate: 1, speed: 2}]",
        "quotas: [{client: a, producer_byte_rate: 1}, {client: a, consumer_byte_rate: 1}]",
        "topics: 7",
        "topics: {T: {partitions: many}}",
        "other: 1",
        "[",
        "limits: {topics: 0}",
        "- a",
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path, text):
    file = tmp_path / "provisioning.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        read_desired(_settings(), load_catalog(), file)


def test_the_audit_is_only_added_to(tmp_path):
    file = tmp_path / "audit.jsonl"
    audit.record(file, "me", "applied", plan="x")
    first = file.read_text()
    audit.record(file, "you", "applied", plan="y")
    assert file.read_text().startswith(first)
    assert [one["who"] for one in audit.entries(file)] == ["me", "you"]
