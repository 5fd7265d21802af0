"""A gateway that starts again reads from the FIX store which events have a number, and what others may have sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feedline.orders.fix.intent import Intent
from feedline.orders.fix.messages import message_of, terms_of
from feedline.orders.fix.session_policy import SessionPolicy, acceptor_settings, initiator_settings
from feedline.orders.fix.store import StoreFiles
from feedline.orders.model import EventKind
from order_flow.flow import event

HEAD = "8=FIX.4.4\x019=1\x01"


@pytest.fixture
def store(tmp_path):
    return StoreFiles.of(tmp_path, "GATEWAY-1", "ENGINE")


def write(store: StoreFiles, entries: list[tuple[int, int]], next_number: int) -> None:
    """entries: number and offset of messages in the order in which they were kept."""
    header, body = b"", b""
    for number, offset in entries:
        made = event(f"o{offset}", 1, EventKind.NEW)
        text = (HEAD + message_of(made, terms_of(made), 0, 2, offset) + "10=000\x01").encode()
        header += b"%d,%d,%d " % (number, len(body), len(text))
        body += text
    store.part("header").write_bytes(header)
    store.part("body").write_bytes(body)
    store.part("seqnums").write_bytes(b"%020d : %020d" % (next_number, 1))


def test_events_with_a_number_are_found(store):
    write(store, [(2, 40), (3, 41)], 4)
    assert store.numbered() == {(2, 40): 2, (2, 41): 3}


def test_a_message_that_was_kept_and_not_counted_was_never_sent(store):
    write(store, [(2, 40), (3, 41)], 3)
    assert store.numbered() == {(2, 40): 2}


def test_a_number_that_was_given_again_is_the_later_messages(store):
    write(store, [(2, 40), (3, 41), (3, 77)], 4)
    assert store.numbered() == {(2, 40): 2, (2, 77): 3}


def test_of_a_long_store_the_end_is_read_and_it_is_known_that_there_is_more(store, monkeypatch):
    """Whatever of an entry the end begins with."""
    write(store, [(number, 40 + number) for number in range(2, 200)], 200)
    assert not store.is_longer()
    everything = store.numbered()
    for length in range(60, 80):
        monkeypatch.setattr("feedline.orders.fix.store.LOOK_BACK_BYTES", length)
        found = store.numbered()
        assert store.is_longer()
        assert 3 < len(found) < 8
        assert found.items() <= everything.items()
        assert (2, 239) in found


def test_without_a_store_nothing_has_a_number(store):
    assert store.numbered() == {}
    assert store.next_number() == 1
    assert store.identity() == ""


def test_a_store_that_was_begun_anew_is_another(store):
    store.part("session").write_text("20261120-14:05:00")
    first = store.identity()
    assert store.identity() == first
    store.part("session").unlink()
    store.part("session").write_text("20261120-14:05:00")
    assert store.identity() != first


def test_a_store_that_is_kept_on_is_the_same(store):
    store.keep_on()
    assert store.identity() == ""
    store.part("session").write_text("20261120-14:05:00")
    first = store.identity()
    store.keep_on()
    assert store.identity() == first
    assert store.part("session").read_text()[:8] == f"{datetime.now(UTC):%Y%m%d}"


def test_an_intent_says_what_another_may_have_sent():
    intent = Intent.of(Intent().extended(200, "A", "store-1").metadata())
    assert not intent.perhaps_sent(150, "A", "store-1")
    assert intent.perhaps_sent(150, "B", "store-9")
    assert intent.perhaps_sent(150, "A", "store-2")
    assert intent.perhaps_sent(150, "A", "store-1", is_known_whole=False)
    assert not intent.perhaps_sent(200, "B", "store-9")


def test_whoever_goes_on_remembers_what_the_one_before_may_have_sent():
    taken_over = Intent.of(Intent().extended(200, "A", "store-1").extended(250, "B", "store-9").metadata())
    assert taken_over.perhaps_sent(199, "B", "store-9")
    assert not taken_over.perhaps_sent(200, "B", "store-9")
    assert taken_over.perhaps_sent(249, "A", "store-1")
    assert taken_over.extended(300, "B", "store-9").perhaps_sent(199, "B", "store-9")


@pytest.mark.parametrize("metadata", [None, "", "{}", "no json", '{"end":"x"}'])
def test_metadata_of_nobody_says_nothing(metadata):
    assert Intent.of(metadata) == Intent()


@pytest.mark.parametrize("settings", [initiator_settings, acceptor_settings])
def test_messages_that_are_kept_are_for_their_owner(settings, tmp_path):
    """Orders of clients, and whatever a logon carries."""
    folder = tmp_path / "fix"
    settings(SessionPolicy(sender="GATEWAY", targets=("ENGINE",), folder=folder, port=9_900))
    assert folder.stat().st_mode & 0o077 == 0
