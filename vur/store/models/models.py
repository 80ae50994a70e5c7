"""Trained models in the BentoML model store of the data home."""

import hashlib
import os
import re
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from vur.errors import VurError
from vur.store.home import folder, lock

CHECKSUMS = "SHA256SUMS"
FORECASTS, TABLES = "vur.stages.model", "vur.tabular"  # what a stored model is of: series, or rows of a table


def model_name(name: str) -> str:
    """Convert `name` to a name of the model store: `Loja São João` becomes `loja-sao-joao`.

    `VurError` store.model_name if it has no ASCII letter or digit.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60]
    if not slug:
        raise VurError("store.model_name", name=name)
    return slug


def _store() -> Any:
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    os.environ.setdefault("BENTOML_HOME", str(folder("bentoml")))
    from bentoml._internal.models.model import ModelStore

    path = folder("bentoml") / "models"
    path.mkdir(parents=True, exist_ok=True)
    return ModelStore(path)


def save_model(
    source: Path,
    name: str,
    version: str,
    metadata: Mapping[str, Any],
    labels: Mapping[str, str],
    module: str = FORECASTS,
) -> str:
    """Copy the model folder `source` into the store as `name:version` and return that tag.

    An existing tag is replaced, so that rerunning a notebook leaves one model. Writers take a lock, because the store
    is not safe for concurrent writes. The checksum of every file is saved with the model.
    """
    store = _store()
    import bentoml

    tag = f"{model_name(name)}:{version}"
    with lock("models"):
        if _find(tag) is not None:
            store.delete(tag)
        context = bentoml.models.ModelContext(
            framework_name="vur", framework_versions=dict(metadata.get("versions", {}))
        )
        with bentoml.models.create(
            tag,
            module=module,
            labels=dict(labels),
            metadata=dict(metadata),
            context=context,
            _model_store=store,
        ) as model:
            shutil.copytree(source, model.path, dirs_exist_ok=True)
            (Path(model.path) / CHECKSUMS).write_text(checksums(Path(model.path)), encoding="utf-8")
    return tag


def checksums(path: Path) -> str:
    """The SHA-256 of every file of a stored model, in the format of `sha256sum`."""
    files = sorted(p for p in path.rglob("*") if p.is_file() and p.name not in (CHECKSUMS, "model.yaml"))
    return "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(path).as_posix()}\n" for p in files)


def _find(tag: str) -> Any | None:
    from bentoml.exceptions import BentoMLException

    try:
        return _store().get(tag)
    except (BentoMLException, ValueError):
        return None


def delete_model(tag: str) -> None:
    """Delete the stored model with an exact tag, if it exists."""
    with lock("models"):
        if _find(tag) is not None:
            _store().delete(tag)


def find_model(tag: str, module: str = FORECASTS) -> Any:
    """The stored model with an exact tag, or the newest with a name; `VurError` store.no_model lists the known ones."""
    name, _, version = tag.partition(":")
    exact = _find(f"{model_name(name)}:{version}") if version and version != "latest" else None
    if exact is not None and exact.info.module == module:
        return exact
    table = list_models(module)
    rows = table[table["name"] == model_name(name)]
    if version and version != "latest":
        rows = rows[rows["version"] == version]
    if rows.empty:
        raise VurError("store.no_model", tag=tag, known=", ".join(table["tag"].head(10)) or "-")
    return _store().get(rows.iloc[0]["tag"])


def model_folder(tag: str, module: str = FORECASTS) -> Path:
    """The folder of a stored model whose checksums match; `VurError` store.tampered if a file was changed."""
    model = find_model(tag, module)
    return verify(Path(model.path), str(model.tag))


def verify(path: Path, tag: str) -> Path:
    """`path` if the files of the stored model in it have their checksums; else `VurError` store.tampered."""
    listed = path / CHECKSUMS
    if not listed.is_file() or listed.read_text(encoding="utf-8") != checksums(path):
        raise VurError("store.tampered", tag=tag)
    return path


def folder_metadata(path: Path) -> dict[str, Any]:
    """The metadata in the folder of a stored model."""
    import yaml

    content: dict[str, Any] = yaml.safe_load((path / "model.yaml").read_text(encoding="utf-8"))["metadata"]
    return content


def list_models(module: str = FORECASTS) -> pd.DataFrame:
    """All stored models of series, or of `TABLES`, newest first.

    `tag, name, version, algorithm, mase, skill, series, created`.
    """
    rows = []
    for model in _store().list():
        info = model.info
        metadata = dict(info.metadata)
        if info.module != module:
            continue
        rows.append(
            {
                "tag": str(model.tag),
                "name": model.tag.name,
                "version": model.tag.version,
                "algorithm": metadata.get("algorithm"),
                "mase": metadata.get("mase"),
                "skill": metadata.get("skill"),
                "series": metadata.get("series"),
                "created": info.creation_time,
            }
        )
    columns = ["tag", "name", "version", "algorithm", "mase", "skill", "series", "created"]
    return pd.DataFrame(rows, columns=columns).sort_values("created", ascending=False, ignore_index=True)
