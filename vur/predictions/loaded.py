"""Models opened once a process and kept while they are used, with the answers that they have already made."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from vur.runs.moving import Saved
from vur.store.champions import Served

Value = TypeVar("Value")
MODELS, HISTORIES = 16, 4  # models of a process, and panels that models were trained on
ANSWERS, LARGE = 64, 2  # answers of each model, small and large ones


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: bool = False
    value: Any = None
    error: BaseException | None = None


class Kept(Generic[Value]):
    """The last `size` values by key; each is made once, however many ask for it at the same moment."""

    def __init__(self, size: int):
        self.size = size
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, which `make` makes; an error of it is for all that wait, and not for those that come after."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot()) if key not in self._slots else self._slots[key]
            self._slots.move_to_end(key)
            while len(self._slots) > self.size:
                self._slots.popitem(last=False)
        if slot.made:
            return slot.value
        with slot.lock:
            if slot.error is not None:
                raise slot.error
            if not slot.made:
                try:
                    slot.value = make()
                except BaseException as error:
                    slot.error = error
                    self.drop(key)
                    raise
                slot.made = True
        return slot.value

    def peek(self, key: Hashable) -> Value | None:
        """The value of `key` where it is there already; never waits."""
        slot = self._slots.get(key)
        return slot.value if slot is not None and slot.made else None

    def drop(self, key: Hashable) -> None:
        """Forget the value of `key`."""
        with self._lock:
            self._slots.pop(key, None)

    def __len__(self) -> int:
        return len(self._slots)


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer, and the last answers that it made."""

    saved: Saved
    answers: Kept[Any] = field(default_factory=lambda: Kept(ANSWERS))
    large: Kept[Any] = field(default_factory=lambda: Kept(LARGE))


_models: Kept[Loaded] = Kept(MODELS)
_histories: Kept[Any] = Kept(HISTORIES)


def loaded(served: Served) -> Loaded:
    """The opened model of a row of the catalog; `VurError` store.tampered where its files are not those that were registered."""
    key = (served.tag, served.checksum)
    return _models.get(key, lambda: _open(served, key))


def loaded_already(served: Served) -> Loaded | None:
    """The same where it is open already; never waits."""
    return _models.peek((served.tag, served.checksum))


def _open(served: Served, key: tuple[str | None, str | None]) -> Loaded:
    from vur.predictions.opened import open_served

    saved = open_served(served)
    return Loaded(replace(saved, history=lambda: _histories.get(key, saved.history)))
