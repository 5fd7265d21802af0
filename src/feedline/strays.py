"""Messages on a feed topic that no loader takes: they name no feed, or one that the catalogue does not have there.

Every load of any feed sends those that it reads to the error topic, before its checkpoint passes them, so that none is
passed in silence whichever feeds are loaded, and by whom; a copy that another feed's load sends has the same error id.
A planned load reads no further than its delivery: one feed of each topic reads all of it (`reads_all`). A manifest has
no rows that could be lost: of one that is no feed's, the delivery that it should have closed stays open, which is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from confluent_kafka import Message

from feedline.batch.headers import MANIFEST, header
from feedline.catalog import Feed
from feedline.catalog_files import default_catalog_path, feed_topics
from feedline.consumer.messages import headers_of
from feedline.errors import ConfigurationError, RetriableError
from feedline.settings import Settings

FindStrays = Callable[[Iterable[Message]], list[Message]]


def find_strays(settings: Settings, feed: Feed) -> FindStrays:
    """Finds the strays among messages of the feed's topic; for one load, or as long as a service runs.

    The catalogue is read again whenever a name is met that it did not have, so that a feed which was added since is
    known. Of a feed that is not in the catalogue the neighbours are not known: then only a message that names no feed
    is a stray. What it returns raises RetriableError when the catalogue cannot be read.
    """
    known: set[str | None] = {feed.name}

    def find(messages: Iterable[Message]) -> list[Message]:
        unknown = [(one, name) for one in messages if (name := header(headers_of(one), "feed")) not in known]
        batches = [(one, name) for one, name in unknown if header(headers_of(one), "contentType") != MANIFEST]
        if batches:
            there = feeds_on(settings, feed)
            known.update(there if feed.name in there else {name for _, name in batches if name is not None})
        return [one for one, name in batches if name not in known]

    return find


def reads_all(settings: Settings, feed: Feed) -> bool:
    """Whether the feed's planned loads read all of its topic: those of the first feed by name do."""
    return min(feeds_on(settings, feed), default=None) == feed.name


def feeds_on(settings: Settings, feed: Feed) -> set[str]:
    """The names of the feeds that the catalogue has on the feed's topic now. Raises RetriableError."""
    try:
        topics = feed_topics(settings.catalog or default_catalog_path())
    except ConfigurationError as error:
        # Somebody may be at work on it, and a service is not to end for that.
        raise RetriableError(
            f"whose messages lie on the topic cannot be told: {error}; mend the catalogue",
            feed=feed.name,
            topic=feed.topic.name,
        ) from error
    return {name for name, topic in topics.items() if topic == feed.topic.name}
