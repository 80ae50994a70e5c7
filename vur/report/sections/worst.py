"""Section on the series that are hardest to forecast."""

import math

from vur.explain.drivers import worst_series
from vur.report.context import ReportContext
from vur.report.sections import Part
from vur.report.tables import metric_text, speaker, table
from vur.scoring.metrics import shown_metrics
from vur.wording import number


def part(found: ReportContext, language: str) -> Part | None:
    """The ten series with the largest scaled errors of the winner.

    None for a single series or without scores.
    """
    frame, t = found.by_series, speaker(language)
    if frame is None or not len(frame) or found.forecast["unique_id"].nunique() < 2:
        return None
    rows = worst_series(frame, found.winner, top=10)
    there = [m for m in (*shown_metrics("worst"), "skill") if m in rows and rows[m].notna().any()]
    if rows.empty or not there:
        return None
    share = float((rows["mase"] > 1).mean()) if "mase" in rows else math.nan
    all_rows = frame[frame["algorithm"] == found.winner] if "algorithm" in frame else frame
    above = int((all_rows["mase"] > 1).sum()) if "mase" in all_rows else 0
    content = {
        "table": table(
            [(t("column.series"), "text"), *((t(f"metric.{m}.short"), "number") for m in there)],
            [
                [str(row["unique_id"]), *(metric_text(m, row[m], language) for m in there)]
                for row in rows.to_dict("records")
            ],
        ),
        "note": t("worst.note", above=number(above, language, 0), total=number(len(all_rows), language, 0))
        if not math.isnan(share)
        else "",
    }
    return Part(t("nav.worst"), content=content)
