"""Discovery: from sample documents to a schema, with the reason for every decision.

`discover(samples_of(path))` reads JSON, JSON Lines, arrays and several documents in one file, gzip too.
"""

from __future__ import annotations

from feedline.metadata.discovery.avro import Decision
from feedline.metadata.discovery.engine import Discovery, discover
from feedline.metadata.discovery.policy import DiscoveryPolicy
from feedline.metadata.discovery.records import conformer, document_text, record_line, restorer
from feedline.metadata.discovery.samples import Refused, Sample, samples_of, samples_of_texts

__all__ = [
    "Decision",
    "Discovery",
    "DiscoveryPolicy",
    "Refused",
    "Sample",
    "conformer",
    "discover",
    "document_text",
    "record_line",
    "restorer",
    "samples_of",
    "samples_of_texts",
]
