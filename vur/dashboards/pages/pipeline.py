"""The Pipeline: a wizard in seven steps over a pipeline that the service keeps, from a file to a promoted model."""

from typing import ClassVar

from vur.dashboards.wizard.board import Board
from vur.dashboards.wizard.columns import Upload
from vur.dashboards.wizard.features import Features
from vur.dashboards.wizard.fit import Training
from vur.dashboards.wizard.look import Preview
from vur.dashboards.wizard.models import Models
from vur.dashboards.wizard.preprocessing import Preprocessing
from vur.dashboards.wizard.split import Split
from vur.dashboards.wizard.start import Start


class PipelinePage(Board):
    """The list of pipelines, and the seven steps of one."""

    begin_start: ClassVar[type] = Start
    begin_views: ClassVar[dict[str, type]] = {
        step.name: step for step in (Upload, Preview, Split, Preprocessing, Features, Models, Training)
    }


def open() -> PipelinePage:
    """Open the page: in the dashboards for the visitor, in a notebook with the token of `VUR_TOKEN`."""
    return PipelinePage()
