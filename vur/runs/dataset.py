"""The source of a run as a stored dataset: uploaded once per content, found again by its fingerprint."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vur.columns import check_names, with_index
from vur.errors import VurError
from vur.panel import Panel, make_panel
from vur.runs.config import DataSpec
from vur.settings import settings
from vur.stages.preview.audit import audit_frame
from vur.stages.preview.findings import Finding
from vur.stages.upload import Upload, upload, upload_frame
from vur.stages.upload.files import UploadOptions
from vur.store.cache import StageCache
from vur.store.data.sources import HEAD, address, original, read_head, write_head
from vur.store.home import folder, new_folder
from vur.store.runs import file_fingerprint, frame_fingerprint

FRAME = "frame.parquet"
# Types of columns that can be covariates; text and ids cannot.
COVARIATE_TYPES = ("numeric", "boolean", "categorical")


@dataclass(frozen=True)
class Dataset:
    """An uploaded source: its origin, fingerprint and Parquet version."""

    upload: Upload
    fingerprint: str
    path: str | None
    source: str

    def chosen(self, spec: DataSpec) -> dict[str, Any]:
        """Date, target and series columns: the user's choice, else the suggested ones."""
        suggested, columns = self.upload.suggestions, [column.name for column in self.upload.columns]
        date, target = spec.date or suggested.date, spec.target or suggested.target
        for value, code in ((date, "runs.no_date"), (target, "runs.no_target")):
            if value is None:
                raise VurError(code, columns=", ".join(columns))
        series = spec.series if spec.series is not None else tuple(suggested.series)
        roles = {date: "date", target: "target"} | dict.fromkeys(series, "series")
        for name, role in roles.items():
            if name not in columns:
                raise VurError("panel.column_missing", column=name, columns=", ".join(columns), role=role)
        return {"date": date, "target": target, "series": tuple(name for name in series if name not in (date, target))}

    def frame(self, spec: DataSpec) -> pd.DataFrame:
        """The columns that the run uses, as uploaded: date, target, series and possible covariates."""
        chosen = self.chosen(spec)
        named = [chosen["date"], chosen["target"], *chosen["series"]]
        kinds = {column.name: column.type for column in self.upload.columns}
        covariates = [
            name
            for name, kind in kinds.items()
            if name not in named
            and spec.roles.get(name) != "exclude"
            and (kind in COVARIATE_TYPES or name in spec.roles)
        ]
        return pd.read_parquet(self.upload.parquet, columns=named + covariates)

    def raw_findings(self, spec: DataSpec, country: str | None, language: str) -> list[Finding]:
        """Findings of the audit on the rows as uploaded, for data that cannot become a panel."""
        chosen = self.chosen(spec)
        return audit_frame(self.frame(spec), **chosen, freq=spec.freq, tz=spec.tz, country=country, language=language)

    def panel(self, spec: DataSpec) -> Panel:
        """The panel of these rows; `VurError` for data that cannot be a panel, such as duplicate timestamps."""
        chosen = self.chosen(spec)
        roles = {name: role for name, role in spec.roles.items() if role != "exclude"}
        return make_panel(
            self.frame(spec), **chosen, freq=spec.freq, roles=roles or None, tz=spec.tz, duplicates=spec.duplicates
        )


def dataset_of(
    spec: DataSpec, cache: StageCache, language: str = "en", progress: Callable[..., None] | None = None
) -> tuple[Dataset, bool]:
    """The dataset of `spec`, and whether it was already stored.

    Reads `spec.path`; if the file is missing or has changed, the stored data of `spec.fingerprint` are used. The file
    of rejected rows of a new upload is written in `language`.
    """
    path = Path(spec.path) if spec.path else None
    if path is None and spec.fingerprint is None:
        raise VurError("runs.no_source")
    present = path if path is not None and path.is_file() else None
    fingerprint = _fingerprint(present) if present else spec.fingerprint
    if fingerprint is None:
        raise VurError("runs.no_file", path=path)
    if spec.fingerprint and fingerprint != spec.fingerprint:
        present, fingerprint = None, spec.fingerprint
    options = _options(spec.upload)
    target = address(fingerprint, options)
    cached = (target / HEAD).is_file()
    if not cached:
        source = present or original(fingerprint)
        if source is None:
            raise VurError("runs.data_gone", fingerprint=fingerprint[:16], path=path)
        _store(source, target, replace(options, language=language), progress)
    stored, name = read_head(target)
    return Dataset(stored, fingerprint, str(path) if path else None, name), cached


def _options(options: UploadOptions) -> UploadOptions:
    return options if options.max_unpacked_bytes else replace(options, max_unpacked_bytes=settings().max_unpacked_bytes)


def _fingerprint(path: Path) -> str:
    return path.parent.name.removeprefix("frame-") if path.name == FRAME else file_fingerprint(path)


def _store(path: Path, target: Path, options: UploadOptions, progress: Callable[..., None] | None) -> None:
    with new_folder(target) as draft:
        result = (
            upload_frame(pd.read_parquet(path), draft) if path.name == FRAME else upload(path, draft, options, progress)
        )
        write_head(draft, result, "data frame" if path.name == FRAME else path.name)


def keep_frame(frame: pd.DataFrame) -> Path:
    """Write an in-memory frame to the data home and return its path; equal frames share one file.

    A named index, or one of dates, becomes a column; any other is no data.
    """
    frame = with_index(frame)
    check_names(frame)
    target = folder("datasets", f"frame-{frame_fingerprint(frame)}")
    if not target.is_dir():
        with new_folder(target) as draft:
            frame.to_parquet(draft / FRAME, index=False)
    return target / FRAME
