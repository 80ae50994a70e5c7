"""Choose, check, split and prepare a dataset of the catalog: each answer is computed once a version and kept beside its table."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.frequency import resolve_hint
from vur.runs.config import Config
from vur.store import child_process, database
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import Dataset, new_id
from vur.store.data import datasets, sources, tables
from vur.store.data.upload_stream import check_disk, disk_full
from vur.store.data.uploads import read_file
from vur.store.events import record_activity
from vur.store.home import folder
from vur.text import translate
from vur.wizard.requests import Work, work_of
from vur.wording import listing

BIG_ROWS = 200_000  # tables above this are worked on in a process of their own


@dataclass(frozen=True)
class Place:
    """A version of a dataset as the functions of this module need it, outside any transaction."""

    dataset_id: str
    number: int
    folder: str
    rows: int
    data: dict[str, Any]
    kinds: dict[str, str]
    suggested: dict[str, Any]
    filename: str | None = None

    @property
    def date(self) -> str | None:
        """The column of dates."""
        return self.data["date"] or self.suggested["date"]

    @property
    def target(self) -> str | None:
        """The column to forecast."""
        return self.data["target"] or self.suggested["target"]


def place_of(session: Session, dataset: Dataset, number: int | None = None) -> Place:
    """Where a version lies and which of its columns were chosen; `VurError` datasets.gone when its files are missing."""
    version = datasets.version_of(session, dataset, number)
    datasets.parquet_path(session, dataset, number)
    kinds = {column["name"]: column["type"] for column in dataset.head["columns"]}
    return Place(
        dataset.id,
        version.number,
        version.folder,
        version.rows,
        datasets.data_spec(session, dataset, number),
        kinds,
        dataset.head["suggestions"],
        version.recipe.get("filename"),
    )


def ask(place: Place, name: str, function: str, /, **arguments: Any) -> Any:
    """The remembered answer of `vur.wizard.checks:<function>` about a version."""
    inputs = inputs_of(place.folder, place.data, **arguments)
    heavy = place.rows > BIG_ROWS
    return tables.remembered(
        place.folder, name, inputs, lambda: child_process.call(function, inputs, in_child=heavy), heavy
    )


def inputs_of(version_folder: str, data: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """What an answer about a version is computed from and remembered by."""
    return {"version_folder": version_folder, "data": data, **arguments}


def validate(place: Place, language: str, country: str | None = None) -> dict[str, Any]:
    """Findings about a version; see `vur.wizard.checks.validate`."""
    return ask(place, "validate", "vur.wizard.checks:validate", language=language, country=country)


def split(place: Place, wishes: dict[str, Any], language: str) -> dict[str, Any]:
    """Where a version would be cut; see `vur.wizard.checks.split`."""
    return ask(place, "split", "vur.wizard.checks:split", wishes=wishes, language=language)


def series(place: Place, language: str) -> dict[str, Any]:
    """Statistics of the series of a version."""
    return ask(place, "series", "vur.wizard.checks:series_facts", language=language)


def statistics(place: Place) -> list[dict[str, Any]]:
    """Statistics of the columns of a version."""
    path, heavy = str(folder("datasets", place.folder) / sources.TABLE), place.rows > BIG_ROWS
    return tables.remembered(
        place.folder,
        "columns",
        {},
        lambda: child_process.call("vur.store.data.tables:column_facts", {"path": path}, in_child=heavy),
        heavy,
    )


# --- preparation ---


def prepare(
    who: Principal, dataset_id: str, asked: dict[str, Any], language: str, expected: int | None = None
) -> dict[str, Any]:
    """Do what a request in the documents' form asks for, and tell it: a new version where rows change, the pipeline's steps otherwise."""
    with database.reading() as session:
        dataset = fetch(session, Dataset, dataset_id, who, "edit")
        check_version(dataset, expected)
        place, owner_id, stamp = place_of(session, dataset), dataset.owner_id, dataset.version
        old = {name: dict(dataset.config.get(name) or {}) for name in ("preprocess", "features")}
    if place.date is None or place.target is None:
        raise VurError("runs.no_date" if place.date is None else "runs.no_target", columns=", ".join(place.kinds))
    work = work_of(asked, place.target, place.date, place.kinds)
    sections = {"preprocess": old["preprocess"] | work.preprocess, "features": old["features"] | work.features}
    if work.duplicates:
        place.data["duplicates"] = work.duplicates
    if not work.rows:
        answer = _answer(place, place, None, work, sections, asked, language)
        with database.writing() as session:
            dataset = fetch(session, Dataset, dataset_id, who, "edit")
            check_version(dataset, stamp)
            _keep(session, who, dataset, sections, work, answer)
        return answer
    return _with_new_rows(who, place, owner_id, stamp, work, sections, asked, language)


def _with_new_rows(
    who: Principal,
    place: Place,
    owner_id: str,
    stamp: int,
    work: Work,
    sections: dict[str, Any],
    asked: dict[str, Any],
    language: str,
) -> dict[str, Any]:
    scratch = folder("uploads", new_id())
    file, heavy = scratch / "rows.parquet", place.rows > BIG_ROWS
    check_disk(2 * sources.size_of(folder("datasets", place.folder) / sources.TABLE))
    scratch.mkdir(parents=True)
    digest = None
    try:
        with disk_full():
            order = {
                "version_folder": place.folder,
                "data": place.data,
                "work": work.rows,
                "target_file": str(file),
                "language": language,
            }
            done = child_process.call("vur.wizard.rows:change_rows", order, in_child=heavy)
            reading: dict[str, Any] = {"path": str(file), "options": {}, "name": file.name, "language": language}
            made = child_process.call("vur.store.data.uploads:read_file", reading, in_child=heavy)
            digest = made["fingerprint"]
            found = sources.read_head(folder("datasets", made["folder"]))[0]
            new = Place(
                place.dataset_id,
                0,
                made["folder"],
                found.rows,
                place.data | {"fingerprint": digest, "upload": {}},
                {column.name: column.type for column in found.columns},
                found.suggestions.to_dict(),
            )
            answer = _answer(place, new, done, work, sections, asked, language)
            with sources.held(digest):
                # Another dataset with the same rows may have been deleted in between, and its table with it.
                if not (folder("datasets", made["folder"]) / sources.HEAD).is_file():
                    made = read_file(**reading)
                sources.keep(file, digest, found)
                with database.writing(durable=True) as session:
                    dataset = fetch(session, Dataset, place.dataset_id, who, "edit")
                    check_version(dataset, stamp)
                    recipe = {"asked": asked, "steps": done["steps"], "from": place.number, "options": {}}
                    version = datasets.add_version(
                        session,
                        dataset,
                        found,
                        folder_name=made["folder"],
                        size=file.stat().st_size,
                        kind="preprocess",
                        recipe=recipe,
                    )
                    answer |= {"version": version.number, "new_version": True}
                    _keep(session, who, dataset, sections, work, answer)
        return answer
    except BaseException:
        if digest:
            datasets.collect([digest])
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _keep(
    session: Session, who: Principal, dataset: Dataset, sections: dict[str, Any], work: Work, answer: dict[str, Any]
) -> None:
    columns = dataset.config.get("columns", {}) | ({"duplicates": work.duplicates} if work.duplicates else {})
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
    old: Place,
    new: Place,
    done: dict[str, Any] | None,
    work: Work,
    sections: dict[str, Any],
    asked: dict[str, Any],
    language: str,
) -> dict[str, Any]:
    """The answer to a request: what was done to rows, and what each fold's pipeline will do to the target."""
    steps = [{"where": "data", "text": text} for text in (done["steps"] if done else [])]
    warnings = (
        [translate("prepare.unused.normalization", language, columns=listing(work.unused, language))]
        if work.unused
        else []
    )
    if any(item["do"] in ("fill", "outliers") and item.get("method") not in ("forward", "zero") for item in work.rows):
        warnings.append(translate("prepare.sees_future", language))
    ahead: dict[str, Any] = {"steps": [], "counts": {}, "before": [], "after": [], "features": None}
    try:
        ahead = ask(
            new,
            "ahead",
            "vur.wizard.rows:look_ahead",
            preprocess=sections["preprocess"],
            features=sections["features"] if "feature_engineering" in asked else None,
            language=language,
        )
    except VurError as error:
        if work.preprocess or work.features:
            raise
        warnings.append(error.text(language))
    steps += [{"where": "pipeline", "text": text} for text in [*_planned(work, sections, language), *ahead["steps"]]]
    changed = done if done and (done["before"] or not ahead["before"]) else ahead
    return {
        "dataset_id": old.dataset_id,
        "version": old.number,
        "new_version": False,
        "steps": steps,
        "warnings": warnings,
        "counts": {"rows_before": old.rows, "rows_after": new.rows, **ahead["counts"]},
        "preview": {"before": changed["before"], "after": changed["after"]},
        "target_preview": {"before": ahead["before"], "after": ahead["after"]},
        "features": ahead["features"],
        "config": sections,
        "explanation": translate("prepare.explanation", language),
    }


def _planned(work: Work, sections: dict[str, Any], language: str) -> list[str]:
    """What the pipeline's own steps are set to, where the request said so."""
    words: list[tuple[bool, str, Callable[[], dict[str, Any]]]] = [
        (
            "missing" in work.preprocess,
            "prepare.planned.missing",
            lambda: {"method": translate(f"prepare.method.{work.preprocess['missing']}", language)},
        ),
        (
            "outliers" in work.preprocess,
            "prepare.planned.outliers",
            lambda: {
                "method": work.preprocess["outliers"]["method"],
                "treatment": translate(f"preprocess.treatment.{work.preprocess['outliers']['treatment']}", language),
            },
        ),
        (
            bool(work.preprocess.get("transforms")),
            "prepare.planned.transforms",
            lambda: {"transforms": listing(work.preprocess["transforms"], language)},
        ),
        (bool(work.features), "prepare.planned.features", lambda: {"names": listing(work.features, language)}),
        (bool(work.duplicates), "prepare.planned.duplicates", lambda: {"method": work.duplicates}),
    ]
    return [translate(key, language, **values()) for wanted, key, values in words if wanted]


# --- choosing columns ---


def choose(dataset: Dataset, chosen: dict[str, Any]) -> list[dict[str, Any]]:
    """Set which columns mean what, after checking that they exist and can; returns remarks (`column`, `code`) on what will not be used.

    `chosen` has `date, target, series, features, exclude, freq, tz, roles, duplicates`. `VurError` names the columns
    there are.
    """
    kinds = {column["name"]: column for column in dataset.head["columns"]}
    _check_names(chosen, kinds)
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
    Config.from_dict({"data": {"duplicates": chosen.get("duplicates") or "refuse"}})
    dataset.config = dataset.config | {"columns": chosen}
    dataset.split = {}
    used = chosen.get("features") or []
    return [
        {"column": name, "code": "datasets.unused_type", "type": kinds[name]["type"]}
        for name in used
        if kinds[name]["type"] in ("text", "id", "datetime") and name not in (chosen.get("roles") or {})
    ]


def _check_names(chosen: dict[str, Any], kinds: dict[str, Any]) -> None:
    roles: dict[str, str] = {}
    fields = (
        ("date_column", [chosen.get("date")]),
        ("target_column", [chosen.get("target")]),
        ("series_columns", chosen.get("series") or []),
        ("feature_columns", chosen.get("features") or []),
        ("exclude_columns", chosen.get("exclude") or []),
    )
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
