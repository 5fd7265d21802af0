"""Chance that repeats: a stream of random numbers for each thing that has a name.

Only `random.Random.random` is drawn from: the language keeps its sequence for a given seed from version to version,
which it does not promise of `choice` or `randrange`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from random import Random
from typing import TypeVar

T = TypeVar("T")


def stream(*names: str | int | date) -> Random:
    """The stream of a thing: the same names give the same numbers on any machine."""
    return Random("/".join(map(str, names)))  # noqa: S311 - test data, not a secret


def below(chance: Random, bound: int) -> int:
    """A whole number from 0 to bound - 1."""
    return int(chance.random() * bound)


def between(chance: Random, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return low + int(chance.random() * (high - low + 1))


def pick(chance: Random, items: Sequence[T]) -> T:
    return items[int(chance.random() * len(items))]


def digits(chance: Random, count: int) -> str:
    return f"{int(chance.random() * 10**count):0{count}d}"


def letters(chance: Random, count: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ") -> str:
    return "".join(alphabet[int(chance.random() * len(alphabet))] for _ in range(count))
