"""The known names that are spelt most like a word of the user."""

from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.7  # share of the letters of both that agree
LONGEST = 100  # characters of a word that are compared


def likeness(word: str, name: str) -> float:
    """How alike two words are, from 0 to 1, whatever their case."""
    return SequenceMatcher(None, word[:LONGEST].lower(), name.lower()).ratio()


def by_likeness(word: object, names: Iterable[str]) -> list[str]:
    """`names`, those spelt most like `word` first; equally alike ones keep their order."""
    return sorted(names, key=lambda name: -likeness(str(word), name))


def near(word: object, names: Iterable[str]) -> str | None:
    """The name spelt most like `word`; None where none is near."""
    first = by_likeness(word, names)[:1]
    return first[0] if first and likeness(str(word), first[0]) >= NEAR else None
