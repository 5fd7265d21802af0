"""Importing what a trigger needs without holding up the triggerer's other waits."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any


async def imported(name: str) -> Any:
    """The module of that name, imported by a thread: a client's first import takes seconds, in which the event loop of
    all triggers would stand still."""
    return await asyncio.to_thread(importlib.import_module, name)
