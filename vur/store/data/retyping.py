"""Other types for the columns of a dataset: its file is read again with them, as a further version."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from vur.errors import VurError
from vur.stages.upload import Upload as UploadResult
from vur.store import database
from vur.store.accounts.access import Principal, check_version, fetch
from vur.store.catalog import Dataset, DatasetVersion, Pipeline, new_id
from vur.store.data import datasets, sources
from vur.store.data.upload_stream import disk_full, options_of
from vur.store.data.uploads import PATIENCE, read_in_child
from vur.store.events import record_activity
from vur.store.home import folder
from vur.store.pipelines import reopen


def retype(who: Principal, id: str, types: dict[str, str], language: str, expected: int | None = None) -> None:
    """Read the current version's file again with the given `types` of its columns, and none else; see `UploadOptions`.

    The pipelines of the dataset ask for their steps again. `VurError` datasets.column for an unknown column,
    upload.type_numeric and so on for one that cannot be read so.
    """
    with database.reading() as session:
        dataset = fetch(session, Dataset, id, who, "edit")
        check_version(dataset, expected)
        version, stamp, known = datasets.version_of(session, dataset), dataset.version, datasets.column_names(dataset)
        path = datasets.source_path(session, dataset)
    for name in types:
        if name not in known:
            raise VurError("datasets.column", field="types", column=name[:200], known=", ".join(known))
    given = {key: value for key, value in version.recipe.get("options", {}).items() if key != "types"}
    options = given | ({"types": types} if types else {})
    order = {
        "path": str(path),
        "options": options,
        "name": version.recipe.get("filename") or dataset.filename,
        "language": language,
        "owner": new_id(),
    }
    with disk_full():
        table = read_in_child(order, patience=PATIENCE, user=dataset.owner_id)
    if table["folder"] == version.folder:
        return
    with sources.locked(version.fingerprint), database.writing(durable=True) as session:
        dataset = fetch(session, Dataset, id, who, "edit")
        check_version(dataset, stamp)
        found = sources.read_head(folder("datasets", table["folder"]))[0]
        changed = datasets.changed_options(options_of(options, language))
        _use(session, dataset, version, found, table["folder"], changed)
        for pipeline in session.scalars(select(Pipeline).where(Pipeline.dataset_id == id)):
            reopen(pipeline, "upload")
        record_activity(
            session,
            dataset.owner_id,
            "dataset_retyped",
            user_id=who.user_id,
            about=("dataset", id),
            name=dataset.name,
            version=dataset.number,
        )


def _use(
    session: Session,
    dataset: Dataset,
    version: DatasetVersion,
    found: UploadResult,
    folder_name: str,
    options: dict[str, Any],
) -> None:
    """Make the table in `folder_name` the current version: one that there was, else a new one like `version`."""
    there = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset.id, DatasetVersion.folder == folder_name)
    if (before := session.scalar(there.order_by(DatasetVersion.number.desc()).limit(1))) is not None:
        datasets.set_current(dataset, before, datasets.head_of(found))
        return
    datasets.add_version(
        session,
        dataset,
        found,
        folder_name=folder_name,
        size=0,  # the file is there already
        kind=version.kind,
        recipe=version.recipe | {"options": options},
    )
