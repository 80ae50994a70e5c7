"""Updates a saved model to the end of new data without retraining; its intervals adapt to the new errors."""

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vur.absence import continue_panel
from vur.columns import core_columns, own_name, read_stamps, wall_time
from vur.errors import VurError
from vur.forecasters.registry import algorithm
from vur.frequency import Frequency, at_border
from vur.models.future import column_of, read_table, stamp_text
from vur.models.saved import open_model
from vur.panel import Panel, make_panel
from vur.scoring.adaptive import adapt
from vur.scoring.intervals import Calibration, interval_scores
from vur.store.home import write_text
from vur.store.models.models import find_model, model_folder, save_model
from vur.text import DEFAULT_LANGUAGE, translate
from vur.timezones import to_zone
from vur.wording import level_text, number, percent, stamp

if TYPE_CHECKING:
    from vur.stages.model.pipeline import Pipeline


@dataclass(frozen=True)
class Moved:
    """The result of an update: the `tag` of the new version, its origin `end`, and the forecasts compared on the way.

    `compared` has `unique_id, ds, step, y, forecast` and the intervals in effect, `lo-L, hi-L`. `widths` has the new
    width of the intervals of each level as a multiple of the old one; empty for a hierarchy, whose intervals come from
    joint errors.
    """

    tag: str
    end: Any
    compared: pd.DataFrame
    widths: dict[float, float]
    freq: Frequency

    def sentences(self, language: str = DEFAULT_LANGUAGE) -> list[str]:
        """The new origin, how the intervals did on the new values, and how they changed."""
        observed = self.compared[self.compared["y"].notna()]
        said = [
            translate(
                "insight.update.moved",
                language,
                tag=self.tag,
                end=stamp(self.end, self.freq, language),
                count=number(len(observed), language, 0),
                series=number(observed["unique_id"].nunique(), language, 0),
            )
        ]
        for level in sorted(float(name[3:]) for name in self.compared if name.startswith("lo-")):
            held, ratio = (
                interval_scores(observed, (level,))[f"coverage-{level:g}"] / 100,
                self.widths.get(level, math.nan),
            )
            key = (
                "held"
                if math.isnan(ratio)
                else "same"
                if abs(ratio - 1) < 0.005
                else "wider"
                if ratio > 1
                else "narrower"
            )
            said.append(
                translate(
                    f"insight.update.{key}",
                    language,
                    level=level_text(level, language),
                    held=percent(held, language, 0),
                    change=percent(abs(ratio - 1), language, 0),
                )
            )
        return said


def update_model(tag: str, data: pd.DataFrame | str | Path, *, steps: int | None = None) -> Moved:
    """Update the saved model `tag` to the end of `data` without retraining, and save it as a new version.

    `data` is a frame or file with the column names of the training data and the whole history: the training file with
    new rows appended. Before the model advances, each block of `steps` (default: its horizon) is forecast and compared
    with the actual values, and the interval levels adapt (see `vur.scoring.adaptive`). The new tag is the old one plus
    the last timestamp: the same data give the same version. `VurError` names a column or series missing from `data`, a
    history that starts too late, or that there is nothing new.
    """
    model, head, metadata = open_model(tag)
    if model.calibration is None:
        raise VurError("forecasters.uncalibrated", algorithm=model.id)
    table = data if isinstance(data, pd.DataFrame) else read_table(Path(data), head["names"])
    panel = continue_panel(history_panel(model, head, table), head.get("absence") or {}, int(metadata["horizon"]))
    check_history(model, panel)
    before, levels = model.calibration, tuple(float(level) for level in metadata["levels"])
    compared = adapt(model, panel, steps=steps or int(metadata["horizon"]), levels=levels)
    end = model.ends.max()
    changed = {} if sums(model) else widths(before, model.calibration, compared, levels)
    saved = _save(tag, model, head, panel, metadata | {"updated_to": stamp_text(end)}, end)
    return Moved(
        saved,
        to_zone(pd.DataFrame({"ds": [end]}), head["tz"], panel.freq)["ds"].iloc[0],
        to_zone(compared, head["tz"], panel.freq),
        changed,
        panel.freq,
    )


def history_panel(model: "Pipeline", head: dict[str, Any], table: pd.DataFrame) -> Panel:
    """The panel of `table`, read like the training data: same columns, roles, frequency and time zone.

    A column that the model does not use may be missing.
    """
    names, roles = head["names"], head["roles"]
    date, target, series = core_columns(table, names)
    found = {name: column_of(name, table, names) or name for name in roles}
    needed, roles = needed_columns(model, roles), {name: role for name, role in roles.items() if found[name] in table}
    for name in [name for name in found if name not in roles]:
        if name in needed:
            raise VurError("insight.column", column=own_name(name, names), columns=", ".join(map(str, table.columns)))
    kept = dict.fromkeys([date, target, *series, *(found[name] for name in roles)])
    frame = table[[name for name in kept if name in table]]
    if head.get("borders") and date in frame:
        local = wall_time(read_stamps(frame[date], date), head["tz"])[0]
        frame = frame.assign(**{date: at_border(local, model.head.freq.alias)})
    panel = make_panel(
        frame,
        date=date,
        target=target,
        series=series or (),
        freq=model.head.freq.alias,
        roles={found[name]: role for name, role in roles.items()},
        tz=head["tz"],
    )
    if not series and len(model.ends) == 1:  # a single series is named after its target column
        panel = panel.with_frame(panel.frame.assign(unique_id=model.ends.index[0])).with_limits()
    return panel


def needed_columns(model: "Pipeline", roles: dict[str, str]) -> set[str]:
    """The columns of `roles` that a fitted model uses.

    For a regression these are the selected columns, for any other algorithm all those that it can use, and always those
    whose effects are taken off first.
    """
    needed: set[str] = set()
    for member in getattr(model.forecaster, "members", None) or [model.forecaster]:
        if hasattr(member, "design"):
            chosen = (
                *member.design.spec.known_future,
                *member.design.spec.static,
                *(lead.column for lead in member.design.leads),
            )
            needed |= set(chosen) & set(roles)
        else:
            needed |= {name for name, role in roles.items() if role in algorithm(member.id).covariates}
    if model.effects is not None:
        needed |= set(model.effects.columns) & set(roles)
    return needed


def check_history(model: "Pipeline", panel: Panel) -> None:
    """`VurError` naming the first series that `panel` lacks or whose history starts later than in training."""
    first = panel.frame.groupby("unique_id", sort=False)["ds"].min()
    for series in model.ends.index.difference(sums(model), sort=False):
        if series not in first.index:
            raise VurError("insight.series_gone", series=series, known=", ".join(map(str, first.index[:10])))
        begin = model.preprocessor.series.at[series, "begin"]
        if first[series] > begin:
            raise VurError(
                "insight.history_short", series=series, first=stamp_text(first[series]), begin=stamp_text(begin)
            )


def sums(model: "Pipeline") -> list[str]:
    """The series of a model that are sums of others and not in the data; empty without a hierarchy."""
    reconciler = getattr(model, "reconciler", None)
    return [] if reconciler is None else list(reconciler.hierarchy.sums)


def widths(
    before: Calibration, after: Calibration, rows: pd.DataFrame, levels: tuple[float, ...]
) -> dict[float, float]:
    """Width of the intervals of `rows` under `after` as a multiple of that under `before`, by level."""
    plain = rows[["unique_id", "ds", "step", "forecast"]]
    old, new = (interval_scores(one.apply(plain, levels).assign(y=0.0), levels) for one in (before, after))
    return {level: new[f"width-{level:g}"] / old[f"width-{level:g}"] for level in levels if old[f"width-{level:g}"] > 0}


def _save(
    tag: str, model: "Pipeline", old_head: dict[str, Any], panel: Panel, metadata: dict[str, Any], end: Any
) -> str:
    """Save the updated model as a new version and return its tag."""
    from vur.models.card import panel_head

    old, source = find_model(tag), model_folder(tag)
    kept = {"series": list(model.ends.index[:1000]), "count": len(model.ends)}
    kept |= {"absence": old_head.get("absence") or {}, "borders": bool(old_head.get("borders"))}
    head = panel_head(panel) | kept
    mark = "".join(character for character in stamp_text(end) if character.isdigit())
    origin = str(metadata.get("updated_from") or old.tag)
    version = f"{origin.partition(':')[2]}-{mark}"
    with tempfile.TemporaryDirectory(prefix="vur-update-") as scratch:
        path = model.save(Path(scratch) / "model")
        write_text(path / "panel.json", json.dumps(head, default=str))
        note = translate("insight.update.card", DEFAULT_LANGUAGE, origin=origin, end=stamp_text(end))
        write_text(
            path / "README.md",
            f"{(source / 'README.md').read_text(encoding='utf-8').partition('## Updated')[0]}## Updated\n\n{note}\n",
        )
        labels = {key: str(value) for key, value in old.info.labels.items()}
        return save_model(path, old.tag.name, version, metadata | {"updated_from": origin}, labels)
