"""JupyterLab behind the service's accounts, opened on the visitor's own folder."""

import os
import shutil
import sys
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from jupyterlab.labapp import LabApp
from tornado import web
from tornado.ioloop import IOLoop
from traitlets.config import Config

from vur.dashboards.login import LabAuthorizer, LabIdentityProvider, SessionPage, SignupPage, Visitor, visitor_of
from vur.dashboards.proxy import ApiProxy
from vur.dashboards.server import SHARE, STATIC, EChartsFile, StaticFile
from vur.errors import VurError
from vur.settings import settings
from vur.store.accounts.access import Principal
from vur.store.home import folder

SECRETS = ("VUR_DATABASE_URL", "VUR_METRICS_KEY")
RUNS = 5  # of the last models, whose notebooks lie at hand


def tutorials() -> Path:
    """The folder of the tutorials: in a checkout, or in the installed package."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "nbs" / "tutorials"
    return checkout if checkout.is_dir() else package / "notebooks" / "tutorials"


def own_folder(visitor: Visitor) -> Path:
    """The visitor's folder, with copies of the tutorials and of the notebooks and reports of the last models.

    What lies there already is left as it is: it may have been changed.
    """
    own = folder("lab", visitor.username)
    own.mkdir(exist_ok=True, mode=0o700)
    (own / "tutorials").mkdir(exist_ok=True)
    for notebook in sorted(tutorials().glob("*.ipynb")):
        if not (own / "tutorials" / notebook.name).exists():
            shutil.copyfile(notebook, own / "tutorials" / notebook.name)
    for name, files in last_runs(visitor):
        target = own / "runs" / name
        target.mkdir(parents=True, exist_ok=True)
        for file in files:
            if not (target / file.name).exists():
                shutil.copyfile(file, target / file.name)
    return own


def last_runs(visitor: Visitor) -> list[tuple[str, list[Path]]]:
    """The ids of the visitor's last trained models with the files of each, notebook and report."""
    from sqlalchemy import select

    from vur.serving.views import jobs
    from vur.store.accounts.access import visible
    from vur.store.catalog import Model
    from vur.store.database import reading

    found: list[tuple[str, list[Path]]] = []
    who = Principal(visitor.username, visitor.role, visitor.language)
    with reading() as session:
        statement = select(Model).where(Model.run_id.is_not(None)).order_by(Model.created_at.desc()).limit(RUNS)
        for model in session.scalars(visible(statement, Model, who)):
            files = []
            for name in ("train.ipynb", "report.html"):
                try:
                    files.append(jobs.latest_file(session, model, name))
                except VurError:  # a model that was loaded from a file has neither
                    continue
            if files:
                found.append((f"{model.created_at:%Y-%m-%d} {model.id[:8]}", files))
    return found


def put_notebook(visitor: Visitor, own: Path, id: str) -> Path:
    """Write the notebook of a pipeline into the visitor's folder; one that lies there is kept under its name.

    `VurError` api.not_found for a pipeline that the visitor may not see, pipelines.unreachable for one without data.
    """
    import json

    from vur.serving.views import wizard
    from vur.store.accounts.access import fetch
    from vur.store.catalog import Pipeline
    from vur.store.database import reading
    from vur.wizard import code

    who = Principal(visitor.username, visitor.role, visitor.language)
    with reading() as session:
        found = wizard.source(
            session, fetch(session, Pipeline, id, who), who, settings().service_url or "", who.language
        )
    text = json.dumps(code.notebook(found), ensure_ascii=False, indent=1)
    name = wizard.plain_name(found.name).strip(". ")
    numbers = (f" {number}" if number > 1 else "" for number in count(1))
    targets = (own / f"{name[:100] or 'pipeline'}{number}.ipynb" for number in numbers)
    target = next(one for one in targets if not one.exists() or one.read_text(encoding="utf-8") == text)
    target.write_text(text, encoding="utf-8")
    return target


class Home(JupyterHandler):
    """The way into JupyterLab: the visitor's folder, made at the first visit."""

    @web.authenticated
    async def get(self) -> None:
        """Make the folder and open JupyterLab there, with a layout that is the visitor's own.

        `pipeline` names a pipeline whose notebook is put there and opened.
        """
        visitor = visitor_of(self)
        assert visitor is not None
        in_thread = IOLoop.current().run_in_executor
        own = await in_thread(None, own_folder, visitor)
        opened = own.name
        if id := self.get_query_argument("pipeline", ""):
            try:
                opened += "/" + (await in_thread(None, put_notebook, visitor, own, id)).name
            except VurError as error:
                raise web.HTTPError(404, error.text(visitor.language)) from None
        at = url_path_join(self.base_url, "lab", "workspaces", own.name, "tree", quote(opened))
        self.redirect(f"{at}?file-browser-path=/{own.name}")


def configuration(host: str, port: int, root: Path) -> Config:
    """The server's configuration."""
    config = Config()
    config.ServerApp.ip, config.ServerApp.port, config.ServerApp.port_retries = host, port, 0
    config.ServerApp.open_browser = False
    config.ServerApp.root_dir = str(root)
    config.ServerApp.allow_root = True
    config.ServerApp.identity_provider_class = LabIdentityProvider
    config.ServerApp.authorizer_class = LabAuthorizer
    config.ServerApp.allow_unauthenticated_access = False
    config.ServerApp.jpserver_extensions = {"voila.server_extension": False}  # pages have a server of their own
    config.LabApp.default_url = "/vur/home"
    layouts = folder("lab") / ".layouts"  # of this data home, and not of everybody who runs JupyterLab here
    config.LabApp.workspaces_dir, config.LabApp.user_settings_dir = (
        str(layouts / "workspaces"),
        str(layouts / "settings"),
    )
    config.LabApp.news_url = None
    config.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    config.ServerApp.log_level = "ERROR"
    return config


def handlers(base_url: str) -> list[Any]:
    """What the panels and the login need, besides JupyterLab."""

    def at(path: str) -> str:
        return url_path_join(base_url, path)

    static = at(r"/vur/static/[0-9a-f]+/")
    return [
        (at("/vur/home"), Home),
        (at("/signup"), SignupPage),
        (at("/vur/session"), SessionPage),
        (at(r"/vur/api/(.*)"), ApiProxy),
        (static + r"echarts\.mjs", EChartsFile),
        (static + "(.*)", StaticFile, {"path": str(STATIC)}),
    ]


def main() -> None:
    """Serve JupyterLab on the host and port of the arguments, until SIGTERM; a third argument is the folder to open."""
    from vur.serving.process.supervisor import end_with_parent

    end_with_parent()
    host, port = sys.argv[1], int(sys.argv[2])
    if len(sys.argv) > 3:
        root, own = Path(sys.argv[3]).absolute(), False
    else:
        root, own = folder("lab"), True
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings()  # read now, because kernels inherit what is left of the environment
    for name in SECRETS:
        os.environ.pop(name, None)
    paths = (str(SHARE), os.environ.get("JUPYTER_CONFIG_PATH"))
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    config = configuration(host, port, root)
    if not own:
        config.LabApp.default_url = "/lab"
    server = LabApp.initialize_server(argv=[], config=config)
    server.web_app.add_handlers(".*$", handlers(server.base_url))
    server.start()


if __name__ == "__main__":
    main()
