"""Select columns of, validate, split and prepare a dataset of the catalog.

Answers are computed once per version and cached beside its table.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from vur.absence import ABSENT
from vur.errors import VurError
from vur.frequency import resolve_hint
from vur.runs.config import ENDED, Config
from vur.settings import settings
from vur.stages.upload.suggestions import ColumnInfo, Given, date_and_target
from vur.store import child_process, database
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import Dataset, new_id
from vur.store.data import datasets, sources, tables
from vur.store.data.upload_stream import check_disk, disk_full
from vur.store.data.uploads import read_file
from vur.store.events import record_activity
from vur.store.home import folder
from vur.text import translate
from vur.wizard.requests import PreparationPlan, preparation_plan
from vur.wording import listing

BIG_ROWS, BIG_COLUMNS, BIG_TEXT = 200_000, 500, 32 * 2**20  # beyond these a table is processed in a child process
log = logging.getLogger("vur.wizard")


@dataclass(frozen=True)
class VersionRef:
    """A version of a dataset with the facts that this module needs, detached from any transaction."""

    dataset_id: str
    number: int
    folder: str
    rows: int
    data: dict[str, Any]
    kinds: dict[str, str]
    suggested: dict[str, Any]
    filename: str | None = None
    owner: str = ""

    @property
    def date(self) -> str | None:
        """The date column."""
        return self.data["date"] or self.suggested["date"]

    @property
    def target(self) -> str | None:
        """The target column."""
        return self.data["target"] or self.suggested["target"]


def version_ref(session: Session, dataset: Dataset, number: int | None = None) -> VersionRef:
    """Folder, size and chosen columns of a version; `VurError` datasets.gone if its files are missing."""
    version = datasets.version_of(session, dataset, number)
    datasets.parquet_path(session, dataset, number)
    kinds = {column["name"]: column["type"] for column in dataset.head["columns"]}
    return VersionRef(
        dataset.id,
        version.number,
        version.folder,
        version.rows,
        datasets.data_spec(session, dataset, number),
        kinds,
        dataset.head["suggestions"],
        version.recipe.get("filename"),
        dataset.owner_id,
    )


def is_big(ref: VersionRef) -> bool:
    """Whether a version's table is processed in a child process."""
    return ref.rows > BIG_ROWS or len(ref.kinds) > BIG_COLUMNS or tables.text_bytes(ref.folder) > BIG_TEXT


def analyse(ref: VersionRef, function: str, arguments: dict[str, Any], heavy: bool) -> Any:
    """Call `function` (`module:name`) about a version; where `heavy`, within the limits of time and memory.

    `VurError` datasets.slow, datasets.memory or datasets.crashed if it exceeds them.
    """
    limits = child_process.Limits(settings().analysis_seconds)
    try:
        return child_process.call(function, arguments, in_child=heavy, limits=limits, owner=ref.owner)
    except TimeoutError:
        raise VurError("datasets.slow", seconds=settings().analysis_seconds) from None
    except child_process.Died as error:
        if error.status is None or error.status >= 0:
            raise
        log.warning("%s", error)
        raise VurError("datasets.crashed") from None


def cached_answer(ref: VersionRef, name: str, function: str, /, **arguments: Any) -> Any:
    """The answer of `function` (`module:name`) about a version, computed once and cached under `name`."""
    inputs = inputs_of(ref.folder, ref.data, **arguments)
    heavy = is_big(ref)
    return tables.cached(ref.folder, name, inputs, lambda: analyse(ref, function, inputs, heavy), heavy)


def inputs_of(version_folder: str, data: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """The inputs of an answer about a version, which are also its cache key."""
    return {"version_folder": version_folder, "data": data, **arguments}


def validate(ref: VersionRef, language: str, country: str | None = None) -> dict[str, Any]:
    """Findings about a version; see `vur.wizard.checks.validate`."""
    return cached_answer(ref, "validate", "vur.wizard.checks:validate", language=language, country=country)


def split(ref: VersionRef, spec: dict[str, Any], language: str) -> dict[str, Any]:
    """The split of a version; see `vur.wizard.checks.split`."""
    return cached_answer(ref, "split", "vur.wizard.checks:split", spec=spec, language=language)


def series(ref: VersionRef, language: str) -> dict[str, Any]:
    """Statistics of the series of a version."""
    return cached_answer(ref, "series", "vur.wizard.checks:series_facts", language=language)


def statistics(ref: VersionRef) -> list[dict[str, Any]]:
    """Statistics of the columns of a version."""
    path, heavy = str(folder("datasets", ref.folder) / sources.TABLE), is_big(ref)
    return tables.cached(
        ref.folder,
        "columns",
        {},
        lambda: analyse(ref, "vur.store.data.tables:column_facts", {"path": path}, heavy),
        heavy,
    )


def compare(old: VersionRef, new: VersionRef, limit: int) -> dict[str, Any]:
    """What changed from one version to another of the same dataset; see `vur.store.data.comparison.compare`."""
    chosen, suggested = new.data["series"], new.suggested["series"]
    arguments = {
        "old": old.folder,
        "new": new.folder,
        "date": new.date,
        "series": chosen if chosen is not None else suggested,
        "limit": limit,
    }
    heavy = is_big(old) or is_big(new)
    return tables.cached(
        new.folder,
        "compare",
        arguments,
        lambda: analyse(new, "vur.store.data.comparison:compare", arguments, heavy),
        heavy,
    )


def write_excel(ref: VersionRef, target: str) -> None:
    """Write the table of a version as an Excel file; see `vur.store.data.excel`."""
    arguments = {"version_folder": ref.folder, "target": target}
    analyse(ref, "vur.store.data.excel:write_table", arguments, is_big(ref))


# --- preparation ---


def prepare(
    who: Principal, dataset_id: str, request: dict[str, Any], language: str, expected: int | None = None
) -> dict[str, Any]:
    """Carry out a preparation request of the API and return a summary.

    Row operations create a new version of the dataset; everything else is stored as pipeline configuration.
    """
    with database.reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, expected)
        ref, owner_id, stamp = version_ref(session, dataset), dataset.owner_id, dataset.version
        old = {name: dict(dataset.config.get(name) or {}) for name in ("preprocess", "features")}
    if ref.date is None or ref.target is None:
        raise VurError("runs.no_date" if ref.date is None else "runs.no_target", columns=", ".join(ref.kinds))
    plan = preparation_plan(request, ref.target, ref.date, ref.kinds)
    sections = {"preprocess": old["preprocess"] | plan.preprocess, "features": old["features"] | plan.features}
    ref.data.update(plan.panel)
    if not plan.rows:
        answer = _answer(ref, ref, None, plan, sections, request, language)
        with database.writing() as session:
            dataset = fetch(session, Dataset, dataset_id, who, "edit")
            check_version(dataset, stamp)
            _keep(session, who, dataset, sections, plan, answer)
        return answer
    return _with_new_rows(who, ref, owner_id, stamp, plan, sections, request, language)


def repair_rows(who: Principal, ref: VersionRef, operation: dict[str, Any], language: str) -> dict[str, Any]:
    """Carry out one operation of a repair on the rows of `ref`, the dataset's current version, as a new version of it.

    `VurError` api.version if another version has become the current one meanwhile.
    """
    with database.reading() as session:
        dataset = fetch(session, Dataset, ref.dataset_id, who, "edit")
        if dataset.number != ref.number:
            raise VurError("api.version", expected=ref.number, version=dataset.number)
        owner_id, stamp = dataset.owner_id, dataset.version
        old = {name: dict(dataset.config.get(name) or {}) for name in ("preprocess", "features")}
    plan = PreparationPlan(rows=[operation])
    return _with_new_rows(who, ref, owner_id, stamp, plan, old, {"repair": operation}, language)


def _with_new_rows(
    who: Principal,
    ref: VersionRef,
    owner_id: str,
    stamp: int,
    plan: PreparationPlan,
    sections: dict[str, Any],
    request: dict[str, Any],
    language: str,
) -> dict[str, Any]:
    scratch = folder("uploads", new_id())
    file, heavy = scratch / "rows.parquet", is_big(ref)
    check_disk(2 * sources.size_of(folder("datasets", ref.folder) / sources.TABLE))
    scratch.mkdir(parents=True)
    digest = None
    try:
        with disk_full():
            job: dict[str, Any] = {
                "version_folder": ref.folder,
                "data": ref.data,
                "operations": plan.rows,
                "target_file": str(file),
                "language": language,
            }
            change = analyse(ref, "vur.wizard.rows:change_rows", job, heavy)
            reading: dict[str, Any] = {"path": str(file), "options": {}, "name": file.name, "language": language}
            stored = analyse(ref, "vur.store.data.uploads:read_file", reading, heavy)
            digest = stored["fingerprint"]
            found = sources.read_head(folder("datasets", stored["folder"]))[0]
            new = VersionRef(
                ref.dataset_id,
                0,
                stored["folder"],
                found.rows,
                ref.data | {"fingerprint": digest, "upload": {}},
                {column.name: column.type for column in found.columns},
                found.suggestions.to_dict(),
                owner=ref.owner,
            )
            answer = _answer(ref, new, change, plan, sections, request, language)
            with sources.locked(digest):
                # A dataset with the same rows may have been deleted in the meantime, and the shared table with it.
                if not (folder("datasets", stored["folder"]) / sources.HEAD).is_file():
                    stored = read_file(**reading)
                sources.keep(file, digest, found)
                with database.writing(durable=True) as session:
                    dataset = fetch(session, Dataset, ref.dataset_id, who, "edit")
                    check_version(dataset, stamp)
                    recipe = {"asked": request, "steps": change["steps"], "from": ref.number, "options": {}}
                    version = datasets.add_version(
                        session,
                        dataset,
                        found,
                        folder_name=stored["folder"],
                        size=file.stat().st_size,
                        kind="preprocess",
                        recipe=recipe,
                    )
                    answer |= {"version": version.number, "new_version": True}
                    _keep(session, who, dataset, sections, plan, answer)
        return answer
    except BaseException:
        if digest:
            datasets.collect([digest])
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _keep(
    session: Session,
    who: Principal,
    dataset: Dataset,
    sections: dict[str, Any],
    plan: PreparationPlan,
    answer: dict[str, Any],
) -> None:
    columns = dataset.config.get("columns", {}) | plan.panel
    dataset.config = dataset.config | sections | {"columns": columns}
    record_activity(
        session,
        dataset.owner_id,
        "dataset_prepared",
        user_id=who.user_id,
        about=("dataset", dataset.id),
        name=dataset.name,
        version=answer["version"],
    )


def _answer(
    old: VersionRef,
    new: VersionRef,
    change: dict[str, Any] | None,
    plan: PreparationPlan,
    sections: dict[str, Any],
    request: dict[str, Any],
    language: str,
) -> dict[str, Any]:
    """The summary of a request: changes to rows, and the effect of each fold's pipeline on the target."""
    steps = [{"where": "data", "text": text} for text in (change["steps"] if change else [])]
    warnings = (
        [translate("prepare.unused.normalization", language, columns=listing(plan.unused, language))]
        if plan.unused
        else []
    )
    if any(item["do"] in ("fill", "outliers") and item.get("method") not in ("forward", "zero") for item in plan.rows):
        warnings.append(translate("prepare.sees_future", language))
    preview: dict[str, Any] = {"steps": [], "counts": {}, "before": [], "after": [], "features": None}
    try:
        preview = cached_answer(
            new,
            "preview",
            "vur.wizard.rows:preview_pipeline",
            preprocess=sections["preprocess"],
            features=sections["features"] if "feature_engineering" in request else None,
            language=language,
        )
    except VurError as error:
        if plan.preprocess or plan.features:
            raise
        warnings.append(error.text(language))
    steps += [{"where": "pipeline", "text": text} for text in [*_planned(plan, sections, language), *preview["steps"]]]
    changed = change if change and (change["before"] or not preview["before"]) else preview
    return {
        "dataset_id": old.dataset_id,
        "version": old.number,
        "new_version": False,
        "steps": steps,
        "warnings": warnings,
        "counts": {"rows_before": old.rows, "rows_after": new.rows, **preview["counts"]},
        "preview": {"before": changed["before"], "after": changed["after"]},
        "target_preview": {"before": preview["before"], "after": preview["after"]},
        "features": preview["features"],
        "config": sections,
        "explanation": translate("prepare.explanation", language),
    }


def _planned(plan: PreparationPlan, sections: dict[str, Any], language: str) -> list[str]:
    """The pipeline settings that the request changed, in words."""
    words: list[tuple[bool, str, Callable[[], dict[str, Any]]]] = [
        (
            "missing" in plan.preprocess,
            "prepare.planned.missing",
            lambda: {"method": translate(f"prepare.method.{plan.preprocess['missing']}", language)},
        ),
        (
            "outliers" in plan.preprocess,
            "prepare.planned.outliers",
            lambda: {
                "method": plan.preprocess["outliers"]["method"],
                "treatment": translate(f"preprocess.treatment.{plan.preprocess['outliers']['treatment']}", language),
            },
        ),
        (
            bool(plan.preprocess.get("transforms")),
            "prepare.planned.transforms",
            lambda: {"transforms": listing(plan.preprocess["transforms"], language)},
        ),
        (bool(plan.features), "prepare.planned.features", lambda: {"names": listing(plan.features, language)}),
        ("duplicates" in plan.panel, "prepare.planned.duplicates", lambda: {"method": plan.panel["duplicates"]}),
        *(
            (plan.panel.get(name) == value, f"prepare.planned.{name}_{value}", dict)
            for name, known in (("absent", ABSENT), ("ended", ENDED))
            for value in known
        ),
    ]
    return [translate(key, language, **values()) for wanted, key, values in words if wanted]


# --- choosing columns ---


def choose(dataset: Dataset, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    """Set the columns of a dataset and return warnings (`column`, `code`) on those that will not be used.

    `chosen` has `date, target, series, features, exclude, freq, tz, roles, duplicates, absent, ended, trust`.
    `VurError` names a column that does not exist or cannot have its role, and lists the columns.
    """
    kinds = {column["name"]: column for column in dataset.head["columns"]}
    _check_names(chosen, kinds)
    chosen = _resolved(dataset, chosen)
    suggested = dataset.head["suggestions"]
    date, target = chosen.get("date") or suggested["date"], chosen.get("target") or suggested["target"]
    for name, accepted, role in (
        (date, lambda c: c["type"] == "datetime" or c["integer"], "date"),
        (target, lambda c: c["type"] in ("numeric", "boolean") or c["integer"], "target"),
    ):
        if name is not None and not accepted(kinds[name]):
            raise VurError(
                "datasets.column_kind", field=f"{role}_column", column=name, type=kinds[name]["type"], role=role
            )
    if chosen.get("freq") and date is not None:
        resolve_hint(chosen["freq"], np.empty(0, np.int64), kinds[date]["type"] != "datetime")
    _check_clock(chosen)
    options = {"duplicates": "refuse", "absent": "auto", "ended": "auto"}
    Config.from_dict({"data": {name: chosen.get(name) or usual for name, usual in options.items()}})
    dataset.config = dataset.config | {"columns": chosen}
    dataset.split = {}
    used = chosen.get("features") or []
    return [
        {"column": name, "code": "datasets.unused_type", "type": kinds[name]["type"]}
        for name in used
        if kinds[name]["type"] in ("text", "id", "datetime") and name not in (chosen.get("roles") or {})
    ]


def _resolved(dataset: Dataset, chosen: dict[str, Any]) -> dict[str, Any]:
    """`chosen` with date or target where what was suggested for it has been chosen for another role."""
    suggested = dataset.head["suggestions"]
    columns = [ColumnInfo(**column) for column in dataset.head["columns"]]
    series = tuple(chosen["series"]) if chosen.get("series") is not None else None
    given = Given(chosen.get("date"), chosen.get("target"), series, tuple(chosen.get("exclude") or ()))
    date, target, _ = date_and_target(columns, dataset.rows, given)
    used = [*(series or ()), *given.left_out]
    clash = {"date": suggested["date"] in (given.target, *used), "target": suggested["target"] in (given.date, *used)}
    found = {"date": date, "target": target}
    return chosen | {role: found[role] for role, taken in clash.items() if taken and not chosen.get(role)}


def _check_names(chosen: dict[str, Any], kinds: dict[str, Any]) -> None:
    roles: dict[str, str] = {}
    fields = (
        ("date_column", [chosen.get("date")]),
        ("target_column", [chosen.get("target")]),
        ("series_columns", chosen.get("series") or []),
        ("feature_columns", chosen.get("features") or []),
        ("exclude_columns", chosen.get("exclude") or []),
    )
    for name in chosen.get("trust") or []:
        if name not in kinds:
            raise VurError("datasets.column", field="trust", column=name, known=", ".join(kinds))
    for field, names in fields:
        for name in names:
            if name is None:
                continue
            if name not in kinds:
                raise VurError("datasets.column", field=field, column=name, known=", ".join(kinds))
            if name in roles:
                raise VurError("datasets.column_twice", field=field, column=name, other=roles[name])
            roles[name] = field
    for name, role in (chosen.get("roles") or {}).items():
        if name not in kinds:
            raise VurError("datasets.column", field="roles", column=name, known=", ".join(kinds))
        if roles.get(name) in ("date_column", "target_column", "series_columns") or (
            roles.get(name) == "exclude_columns" and role != "exclude"
        ):
            raise VurError("datasets.column_twice", field="roles", column=name, other=roles[name])


def _check_clock(chosen: dict[str, Any]) -> None:
    from zoneinfo import available_timezones

    if chosen.get("tz") and chosen["tz"] not in available_timezones():
        raise VurError("datasets.timezone", field="timezone", value=chosen["tz"])
