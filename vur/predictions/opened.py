"""A model of the catalog opened for forecasts: its files compared with what was registered, its training data found again."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vur.errors import VurError
from vur.runs.moving import Saved
from vur.runs.predict import open_folder
from vur.store.cache import StageCache
from vur.store.catalog import Dataset, Model
from vur.store.champions import Served
from vur.store.database import reading
from vur.store.models import CHECKSUMS, find_model

if TYPE_CHECKING:
    from vur.panel import Panel
    from vur.runs.config import DataSpec


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

    `head` is what the saved model knows of the panel: it decides what the columns mean. `VurError` when the data are gone.
    """
    from vur.panel import complete
    from vur.runs.config import DataSpec
    from vur.runs.dataset import dataset_of

    with reading() as session:
        model = session.get_one(Model, model_id)
        dataset = session.get(Dataset, model.dataset_id) if model.dataset_id else None
        spec = _spec(dict(model.config.get("data") or {}))
        if dataset is not None:
            from vur.store.datasets import data_spec, source_path

            stored = _spec(data_spec(session, dataset, model.dataset_number))
            spec = replace(stored, duplicates=spec.duplicates if spec.duplicates != DataSpec().duplicates else stored.duplicates,
                           path=str(source_path(session, dataset, model.dataset_number)))
    stored = dataset_of(replace(spec, fingerprint=metadata.get("fingerprint")), StageCache())[0]
    names = head["names"]
    meant = {found for name in head["roles"] for found in (name, name.removesuffix("_"))}
    others = {column.name: "exclude" for column in stored.upload.columns if column.name not in meant}
    return complete(stored.panel(replace(
        spec, date=names["date"], target=names["target"], series=tuple(names.get("series") or ()), freq=head["freq"]["alias"],
        roles=others | head["roles"], tz=head["tz"])))


def _spec(data: dict[str, Any]) -> "DataSpec":
    from vur.runs.config import Config

    return Config.from_dict({"data": data}).data
