"""Models opened once a process and kept while they are used, with the answers that they have already made."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vur.errors import VurError
from vur.models.saved import Saved, open_folder
from vur.store.cache import StageCache
from vur.store.catalog import Dataset, Model
from vur.store.database import reading
from vur.store.models.champions import Served
from vur.store.models.models import CHECKSUMS, find_model

if TYPE_CHECKING:
    from vur.panel import Panel
    from vur.runs.config import DataSpec


Value = TypeVar("Value")
MODELS, HISTORIES = 16, 4  # models of a process, and panels that models were trained on
ANSWERS, LARGE = 64, 2  # answers of each model, small and large ones


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    made: bool = False
    value: Any = None
    error: BaseException | None = None


class LruCache(Generic[Value]):
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
class OpenModel:
    """A model ready to answer, and the last answers that it made."""

    saved: Saved
    answers: LruCache[Any] = field(default_factory=lambda: LruCache(ANSWERS))
    large: LruCache[Any] = field(default_factory=lambda: LruCache(LARGE))


_models: LruCache[OpenModel] = LruCache(MODELS)
_histories: LruCache[Any] = LruCache(HISTORIES)


def open_model(served: Served) -> OpenModel:
    """The opened model of a row of the catalog; `VurError` store.tampered where its files are not those that were registered."""
    key = (served.tag, served.checksum)
    return _models.get(key, lambda: _open(served, key))


def open_if_cached(served: Served) -> OpenModel | None:
    """The same where it is open already; never waits."""
    return _models.peek((served.tag, served.checksum))


def _open(served: Served, key: tuple[str | None, str | None]) -> OpenModel:

    saved = open_served(served)
    return OpenModel(replace(saved, history=lambda: _histories.get(key, saved.history)))


def open_served(served: Served) -> Saved:
    """The model of a row of the catalog; `VurError` store.tampered where its files are not those that were registered."""
    folder = Path(find_model(served.tag).path)
    check_registered(folder, served)
    pipeline, head, metadata = open_folder(folder, served.tag)
    check_registered(folder, served)  # they may have been replaced while they were read
    return Saved(served.tag, pipeline, head, metadata, lambda: training_panel(served.id, head, metadata))


def check_registered(folder: Path, served: Served) -> None:
    """`VurError` store.tampered unless the list of checksums beside a model is the one that the catalog knows."""
    try:
        found = hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
    except OSError:
        found = ""
    if found != served.checksum:
        raise VurError("store.tampered", tag=served.tag)


def training_panel(model_id: str, head: dict[str, Any], metadata: dict[str, Any]) -> "Panel":
    """The panel that a model was trained on, read again: from its dataset, else from what its run stored.

    `head` is what the saved model knows of the panel: it decides what the columns mean. `VurError` when the data are
    gone.
    """
    from vur.panel import complete
    from vur.runs.config import DataSpec
    from vur.runs.dataset import dataset_of

    with reading() as session:
        model = session.get_one(Model, model_id)
        dataset = session.get(Dataset, model.dataset_id) if model.dataset_id else None
        spec = _spec(dict(model.config.get("data") or {}))
        if dataset is not None:
            from vur.store.data.datasets import data_spec, source_path

            stored = _spec(data_spec(session, dataset, model.dataset_number))
            spec = replace(
                stored,
                duplicates=spec.duplicates if spec.duplicates != DataSpec().duplicates else stored.duplicates,
                path=str(source_path(session, dataset, model.dataset_number)),
            )
    stored = dataset_of(replace(spec, fingerprint=metadata.get("fingerprint")), StageCache())[0]
    names = head["names"]
    meant = {found for name in head["roles"] for found in (name, name.removesuffix("_"))}
    others = {column.name: "exclude" for column in stored.upload.columns if column.name not in meant}
    return complete(
        stored.panel(
            replace(
                spec,
                date=names["date"],
                target=names["target"],
                series=tuple(names.get("series") or ()),
                freq=head["freq"]["alias"],
                roles=others | head["roles"],
                tz=head["tz"],
            )
        )
    )


def _spec(data: dict[str, Any]) -> "DataSpec":
    from vur.runs.config import Config

    return Config.from_dict({"data": data}).data
