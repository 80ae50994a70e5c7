"""Open models: each process opens a model once and caches it together with its latest responses."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vur.columns import own_name
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
MODELS, HISTORIES = 16, 4  # models and training panels that a process caches
ANSWERS, LARGE = 64, 2  # small and large responses that are cached for each model


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    ready: bool = False
    value: Any = None
    error: BaseException | None = None


class LruCache(Generic[Value]):
    """A cache of the `size` least recently used values; concurrent requests for one key compute it once."""

    def __init__(self, size: int):
        self.size = size
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """The value of `key`, computed if it is not cached; all waiting threads get its exception, later ones retry."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot()) if key not in self._slots else self._slots[key]
            self._slots.move_to_end(key)
            while len(self._slots) > self.size:
                self._slots.popitem(last=False)
        if slot.ready:
            return slot.value
        with slot.lock:
            if slot.error is not None:
                raise slot.error
            if not slot.ready:
                try:
                    slot.value = compute()
                except BaseException as error:
                    slot.error = error
                    self.drop(key)
                    raise
                slot.ready = True
        return slot.value

    def peek(self, key: Hashable) -> Value | None:
        """The cached value of `key`, or None; never waits."""
        slot = self._slots.get(key)
        return slot.value if slot is not None and slot.ready else None

    def drop(self, key: Hashable) -> None:
        """Remove `key` from the cache."""
        with self._lock:
            self._slots.pop(key, None)

    def __len__(self) -> int:
        return len(self._slots)


@dataclass(frozen=True)
class OpenModel:
    """An open model with its cached responses, small and large ones."""

    saved: Saved
    answers: LruCache[Any] = field(default_factory=lambda: LruCache(ANSWERS))
    large: LruCache[Any] = field(default_factory=lambda: LruCache(LARGE))


_models: LruCache[OpenModel] = LruCache(MODELS)
_histories: LruCache[Any] = LruCache(HISTORIES)


def open_model(served: Served) -> OpenModel:
    """The open model of a catalog row, cached; `VurError` store.tampered if its files were changed."""
    key = (served.tag, served.checksum)
    return _models.get(key, lambda: _open(served, key))


def open_if_cached(served: Served) -> OpenModel | None:
    """The open model if it is cached, else None; never waits."""
    return _models.peek((served.tag, served.checksum))


def _open(served: Served, key: tuple[str | None, str | None]) -> OpenModel:
    saved = open_served(served)
    return OpenModel(replace(saved, history=lambda: _histories.get(key, saved.history)))


def open_served(served: Served) -> Saved:
    """Open the model of a catalog row; `VurError` store.tampered if its files were changed."""
    folder = Path(find_model(served.tag).path)
    check_registered(folder, served)
    pipeline, head, metadata = open_folder(folder, served.tag)
    check_registered(folder, served)  # again, because they may have been replaced while being read
    return Saved(served.tag, pipeline, head, metadata, lambda: training_panel(served.id, head, metadata))


def check_registered(folder: Path, served: Served) -> None:
    """`VurError` store.tampered unless a model's list of checksums is the one registered in the catalog."""
    try:
        found = hashlib.sha256((folder / CHECKSUMS).read_bytes()).hexdigest()
    except OSError:
        found = ""
    if found != served.checksum:
        raise VurError("store.tampered", tag=served.tag)


def training_panel(model_id: str, head: dict[str, Any], metadata: dict[str, Any]) -> "Panel":
    """Read the panel that a model was trained on: from its dataset, else from its run's file.

    `head` describes the panel in the saved model and determines the roles of the columns. `VurError` if the data no
    longer exist.
    """
    from vur.absence import continue_panel
    from vur.runs.config import DataSpec
    from vur.runs.dataset import dataset_of

    with reading() as session:
        model = session.get_one(Model, model_id)
        dataset = session.get(Dataset, model.dataset_id) if model.dataset_id else None
        spec = _spec(dict(model.config.get("data") or {}))
        if dataset is not None:
            from vur.store.data.datasets import data_spec, source_path

            own = _spec(data_spec(session, dataset, model.dataset_number))
            spec = replace(
                own,
                duplicates=spec.duplicates if spec.duplicates != DataSpec().duplicates else own.duplicates,
                path=str(source_path(session, dataset, model.dataset_number)),
            )
    stored = dataset_of(replace(spec, fingerprint=metadata.get("fingerprint")), StageCache())[0]
    names = head["names"]
    roles = {own_name(name, names): role for name, role in head["roles"].items()}
    meant = {found for name in roles for found in (name, name.removesuffix("_"))}
    meant |= {names["date"], names["target"], *(names.get("series") or ())}
    others = {column.name: "exclude" for column in stored.upload.columns if column.name not in meant}
    panel = stored.panel(
        replace(
            spec,
            date=names["date"],
            target=names["target"],
            series=tuple(names.get("series") or ()),
            freq=head["freq"]["alias"],
            roles=others | roles,
            tz=head["tz"],
        )
    )
    return continue_panel(panel, head.get("absence") or {}, int(metadata["horizon"]))


def _spec(data: dict[str, Any]) -> "DataSpec":
    from vur.runs.config import Config

    return Config.from_dict({"data": data}).data
