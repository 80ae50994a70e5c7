"""The known names that are spelt most like a word of the user."""

from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.7  # share of the letters of both that agree
SHORTEST = 3  # letters of a word that may stand for a longer name
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
    return first[0] if first and (likeness(str(word), first[0]) >= NEAR or is_part(str(word), first[0])) else None


def is_part(word: str, name: str) -> bool:
    """Whether `name` begins with `word`, or has it as a part: `iter` of `iterations`, `number` of `dataset_number`."""
    plain = word.lower()
    return len(plain) >= SHORTEST and (name.lower().startswith(plain) or plain in name.lower().split("_"))
