"""Which failures Airflow tries again."""

from __future__ import annotations

from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy


class RetryUnlessTerminal(RetryPolicy):
    """Fails at once on an error that trying again cannot mend; everything else has the task's retries and back-off.

    The error's own sentence, which says what to change, becomes the reason in the log.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002
        max_tries: int,  # noqa: ARG002
        context: Any = None,  # noqa: ARG002
    ) -> RetryDecision:
        from feedline.errors import TerminalError

        if isinstance(exception, TerminalError):
            return RetryDecision.fail(reason=str(exception))
        return RetryDecision.default()
