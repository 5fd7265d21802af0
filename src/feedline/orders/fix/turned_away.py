"""What our own session has refused of what the engine sent: read again where QuickFIX has logged it, so that nothing of
it is lost.

A session refuses a tag that comes twice outside of a group that it knows, and has counted the message's number by then:
the engine will not send it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from feedline.orders.fix.log_view import last_logged
from feedline.orders.fix.raw import REFUSED
from feedline.orders.fix.reports import READ

# SessionRejectReason "tag appears more than once".
_REPEATED = "13"


def turned_away(log: Path, sender: str, reject: Mapping[str, str]) -> dict[str, str]:
    """The fields of the message of that sender that `reject`, of ours, names.

    It is a report like others when what comes twice is of no meaning here; else REFUSED says why it can be none.
    Raises LookupError when the log does not have it, OSError when it cannot be read.
    """
    message = last_logged(log, sender, reject.get("45", ""))
    if message is None:
        raise LookupError(f"message {reject.get('45')} of {sender} is not in {log.name}")
    found = dict(message.fields)
    twice = {tag for tag, count in Counter(tag for tag, _ in message.fields).items() if count > 1}
    if reject.get("373") != _REPEATED or twice & READ:
        found[REFUSED] = f"the FIX session refuses the message: {reason_of(reject)}"
    return found


def reason_of(reject: Mapping[str, str]) -> str:
    """For people: the words of a reject, and the tag that it speaks of."""
    tag = f", tag {reject['371']}" if "371" in reject else ""
    return f"{reject.get('58') or reject.get('373') or reject.get('380')}{tag}"
