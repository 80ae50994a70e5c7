"""The source of a run as a stored dataset: uploaded once per content, found again by its fingerprint."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vur.absence import regular_panel
from vur.columns import check_names, with_index
from vur.errors import VurError
from vur.frequency import default_horizon
from vur.hierarchy import HierarchySpec
from vur.models.future import known_steps
from vur.nearest import by_likeness, near
from vur.panel import ROLES, Panel, make_panel
from vur.runs.config import DataSpec
from vur.scoring.copies import without_copies
from vur.settings import settings
from vur.stages.preview.audit import audit_frame
from vur.stages.preview.findings import Finding
from vur.stages.split import asked_horizon
from vur.stages.split.folds import SplitSpec
from vur.stages.upload import Upload, connect, lost_names, upload, upload_frame
from vur.stages.upload.columns import literal
from vur.stages.upload.files import UploadOptions, note
from vur.stages.upload.suggestions import Given, Suggestions, like_target, suggest
from vur.store.cache import StageCache
from vur.store.data.sources import HEAD, address, original, read_head, write_head
from vur.store.home import folder, new_folder
from vur.store.runs import file_fingerprint, frame_fingerprint
from vur.text import DEFAULT_LANGUAGE

FRAME = "frame.parquet"
# Types of columns that can be covariates; text and ids cannot.
COVARIATE_TYPES = ("numeric", "boolean", "categorical")
MOST_NAMES = 20


def check_columns(spec: DataSpec, columns: list[str]) -> None:
    """`VurError` for a column that does not exist or has two roles, and for an unknown column or role in `roles`."""
    taken: dict[str, str] = {}
    for role, names in (("date", [spec.date]), ("target", [spec.target]), ("series", spec.series or ())):
        for name in names:
            if name is None:
                continue
            if name not in columns:
                raise VurError("panel.column_missing", column=name, columns=listed(columns), role=role)
            if name in taken:
                raise VurError(
                    "runs.column_twice", column=name, first=taken[name], second=role, columns=listed(columns)
                )
            taken[name] = role
    free = [name for name in columns if taken.get(name) not in ("date", "target")]
    for name, role in spec.roles.items():
        if role not in ROLES:
            raise VurError("panel.role_unknown", column=name, role=role, known=" | ".join(ROLES))
        if name not in columns and name.removesuffix("_") not in columns:
            known = listed(by_likeness(name, free))
            raise VurError("runs.role_column", column=name, role=role, near=near(name, free), columns=known)
        if name in taken and not (taken[name] == "series" and role in ("static", "exclude")):
            raise VurError("runs.role_taken", column=name, taken=taken[name], role=role, columns=listed(free))


def listed(names: Sequence[str]) -> str:
    """Names for a message: all of them, or the first ones of many."""
    return ", ".join(names[:MOST_NAMES]) + (f", … ({len(names)})" if len(names) > MOST_NAMES else "")


@dataclass(frozen=True)
class Dataset:
    """An uploaded source: its origin, fingerprint and Parquet version."""

    upload: Upload
    fingerprint: str
    path: str | None
    source: str
    known: dict[Given, Suggestions] = field(default_factory=dict, repr=False, compare=False)

    def chosen(self, spec: DataSpec) -> dict[str, Any]:
        """Date, target and series columns: the user's choice, else the suggested ones.

        `VurError` names a column that does not exist, that has two roles, or whose role is unknown.
        """
        check_columns(spec, [column.name for column in self.upload.columns])
        found = self.suggestions(spec)
        for value, code in ((found.date, "runs.no_date"), (found.target, "runs.no_target")):
            if value is None:
                raise VurError(code, columns=listed([column.name for column in self.upload.columns]))
        return {"date": found.date, "target": found.target, "series": found.series}

    def suggestions(self, spec: DataSpec) -> Suggestions:
        """What the user gave, completed by what the data suggest; no column gets two roles."""
        left_out = tuple(sorted(name for name, role in spec.roles.items() if role != "static"))
        given = Given(spec.date, spec.target, spec.series, left_out)
        if given not in self.known:
            self.known[given] = self._suggestions(given)
        return self.known[given]

    def _suggestions(self, given: Given) -> Suggestions:
        first = self.upload.suggestions
        if given.date and given.target and given.series is not None:
            return replace(first, date=given.date, target=given.target, series=given.series)
        roles = {"date": first.date, "target": first.target, "series": first.series}
        fixed = {name: value for name in roles if (value := getattr(given, name)) is not None}
        used = {first.date, first.target, *first.series}
        if all(roles[name] == value for name, value in fixed.items()) and not used & set(given.left_out):
            return first
        with tempfile.TemporaryDirectory() as scratch, connect(UploadOptions(), Path(scratch)) as connection:
            relation = f"read_parquet({literal(str(self.upload.parquet))})"
            return suggest(connection, relation, self.upload.columns, self.upload.rows, given)

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
        return self.upload.frame(named + covariates)

    def raw_findings(self, spec: DataSpec, country: str | None, language: str) -> list[Finding]:
        """Findings of the audit on the rows as uploaded, for data that cannot become a panel."""
        chosen = self.chosen(spec)
        return audit_frame(
            self.frame(spec),
            **chosen,
            freq=spec.freq,
            tz=spec.tz,
            country=country,
            language=language,
            notes=self.remarks(spec),
        )

    def remarks(self, spec: DataSpec) -> tuple[dict, ...]:
        """The notes of the upload, on series that share no date, and on other possible targets."""
        found = self.suggestions(spec)
        why = (found.reasons.get(name, {}) for name in (found.series if spec.series is None else ()))
        disjoint = (one for one in why if "disjoint" in one.get("key", ""))
        return (*self.upload.notes, *disjoint, *self._other_targets(spec, found))

    def _other_targets(self, spec: DataSpec, found: Suggestions) -> list[dict]:
        """The note on columns that could be the target as well, where the user named none and gave them no role."""
        if spec.target or not found.target:
            return []
        others = like_target(self.upload.columns, found.target, [found.date or "", *found.series, *spec.roles])
        data = {"column": found.target, "others": listed(others), "count": len(others), "date": found.date}
        return [note("only_target", **data)] if others else []

    def panel(self, spec: DataSpec) -> Panel:
        """The panel of these rows; `VurError` for data that cannot be a panel, such as duplicate timestamps."""
        chosen = self.chosen(spec)
        alone = chosen["series"] if len(chosen["series"]) == 1 else ()  # of several, each is a static column too
        roles = {name: role for name, role in spec.roles.items() if role != "exclude" and name not in alone}
        return make_panel(
            self.frame(spec), **chosen, freq=spec.freq, roles=roles or None, tz=spec.tz, duplicates=spec.duplicates
        )

    def regular(
        self, spec: DataSpec, horizon: int | None = None, sums: HierarchySpec | None = None
    ) -> tuple[Panel, int]:
        """The panel that models see, without sums, and the horizon: `horizon`, or that of the data.

        Absent rows and ended series are treated as `spec` says. Where `sums` are wanted, its `ends` decides about ended
        series by default: they stay, to be closed or refused, unless all series are cut. Columns that hold the answer
        are set aside (`vur.scoring.copies`). Raises `VurError` as `panel`, and for a trusted column that is not there.
        """
        panel = self.panel(spec)
        kept = sums is not None and sums.wanted and sums.ends != "cut"
        ended = ("forecast" if kept else "omit") if spec.ended == "auto" else spec.ended
        if horizon is None:
            usual = default_horizon(panel.freq)
            horizon = usual
            if panel.future is not None:
                horizon = known_steps(regular_panel(panel, spec.absent, ended, usual)) or usual
        whole = regular_panel(panel, spec.absent, ended, horizon)
        return without_copies(whole, horizon, self._trusted(spec, whole)), horizon

    def to_split(self, spec: DataSpec, split: SplitSpec, sums: HierarchySpec | None = None) -> tuple[Panel, int]:
        """What `regular` returns for a run with this `split`: its sizes set the horizon where it names none."""
        panel, horizon = self.regular(spec, split.horizon, sums)
        asked = asked_horizon(panel, split) or horizon
        return (panel, horizon) if asked == horizon else self.regular(spec, asked, sums)

    def _trusted(self, spec: DataSpec, panel: Panel) -> list[str]:
        """The trusted columns by their names in the panel; `VurError` for one that does not exist."""
        inner = {panel.own(name): name for name in panel.roles}
        for name in spec.trust:
            if name not in inner:
                raise VurError("runs.trust_unknown", column=name, columns=", ".join(inner) or "-")
        return [inner[name] for name in spec.trust]


def dataset_of(
    spec: DataSpec, cache: StageCache, language: str = DEFAULT_LANGUAGE, progress: Callable[..., None] | None = None
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
    dataset, cached = _stored(fingerprint, present, spec.upload, path, language, progress)
    return as_named(dataset, spec, present, language, progress) or (dataset, cached)


def as_named(
    dataset: Dataset,
    spec: DataSpec,
    present: Path | None = None,
    language: str = DEFAULT_LANGUAGE,
    progress: Callable[..., None] | None = None,
) -> tuple[Dataset, bool] | None:
    """The dataset read again with its series columns as text, and whether it was stored; None where no name was lost.

    The file is `present`, else the stored original; without either the names stay as they are.
    """
    text = lost_names(dataset.upload, spec.series or ())
    if not text or not (present or original(dataset.fingerprint)):
        return None
    options = replace(spec.upload, text=tuple(sorted({*spec.upload.text, *text})))
    path = Path(dataset.path) if dataset.path else None
    return _stored(dataset.fingerprint, present, options, path, language, progress)


def _stored(
    fingerprint: str,
    present: Path | None,
    chosen: UploadOptions,
    path: Path | None,
    language: str,
    progress: Callable[..., None] | None,
) -> tuple[Dataset, bool]:
    """The dataset with this fingerprint, read with these options unless it was, and whether it was."""
    options = _options(chosen)
    target = address(fingerprint, options)
    cached = (target / HEAD).is_file()
    if not cached:
        source = present or original(fingerprint)
        if source is None:
            raise VurError("runs.data_gone", fingerprint=fingerprint[:16], path=path)
        _store(source, target, replace(options, language=language), progress)
    stored, name = read_head(target)
    return Dataset(stored, fingerprint, str(path) if path else None, path.name if path else name), cached


def _options(options: UploadOptions) -> UploadOptions:
    """`options` with the setting's limit of the unpacked size, unless they have one of their own."""
    given = options.max_unpacked_bytes not in (0, UploadOptions.max_unpacked_bytes)
    return options if given else replace(options, max_unpacked_bytes=settings().max_unpacked_bytes)


def _fingerprint(path: Path) -> str:
    return path.parent.name.removeprefix("frame-") if path.name == FRAME else file_fingerprint(path)


def _store(path: Path, target: Path, options: UploadOptions, progress: Callable[..., None] | None) -> None:
    with new_folder(target) as draft:
        if path.name == FRAME:
            result = upload_frame(pd.read_parquet(path), draft, options)
        else:
            result = upload(path, draft, options, progress)
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
