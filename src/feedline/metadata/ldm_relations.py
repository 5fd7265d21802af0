"""Relations between the feeds of a catalogue, offered by their keys for a reviewer to accept."""

from __future__ import annotations

from feedline.catalog import Catalog, Feed
from feedline.metadata.ldm import Relation


def relations_between(catalog: Catalog, feed: Feed) -> tuple[Relation, ...]:
    """Of a feed to those whose one business key is a field of its own: positions carry `account_id`, which is what
    names an account."""
    own = {field["name"] for field in feed.schema["fields"]}
    found = []
    for other in catalog.feeds.values():
        if other.name != feed.name and len(other.business_keys) == 1 and other.business_keys[0] in own:
            key = other.business_keys[0]
            found.append(
                Relation(
                    parent=other.name,
                    child=feed.name,
                    by=(key,),
                    description=f"{feed.title} name one of {other.title.lower()} by {key}",
                )
            )
    return tuple(found)
