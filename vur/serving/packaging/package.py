"""`vur package`: trained models as a Bento that serves forecasts without the repository or a catalog."""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vur import __version__
from vur.errors import VurError
from vur.store.home import folder
from vur.store.models.models import find_model, model_folder, model_name

TEMPLATES = Path(__file__).parents[1] / "templates"
SOURCE = Path(__file__).parents[2]
# Run in a fresh process: after a forecast, exactly the libraries needed to serve these models are loaded.
PROBE = """
import importlib.metadata, json, sys
from vur.serving.packaging.packaged import Forecast, Models
models = Models(json.loads(sys.argv[1]))
answers = {tag: models.predict(Forecast(model=tag))["forecasts"][:2] for tag in models.folders}
owners = importlib.metadata.packages_distributions()
names = {name for top in {module.partition(".")[0] for module in sys.modules} for name in owners.get(top, ())}
versions = {name: importlib.metadata.version(name) for name in sorted(names, key=str.lower)}
print(json.dumps({"answers": answers, "versions": versions}))
"""
# Part of the environment that builds the package, not of the one that serves it.
LEFT_OUT = {"vur", "setuptools", "pip", "wheel"}


def package(tags: Sequence[str], out: Path, name: str | None = None) -> Path:
    """Build the Bento of `tags` into `out` (a `.bento` file or a folder), its README beside it; return the file.

    Every model is first verified, loaded and tested with a forecast in a new process: one that fails is not packaged.
    """
    exact = [str(find_model(tag).tag) for tag in tags]
    paths = {tag: str(model_folder(tag)) for tag in exact}
    name = model_name(name or f"{exact[0].partition(':')[0]}-forecasts")
    probe = run_probe(paths)
    with tempfile.TemporaryDirectory(prefix="vur-package-") as scratch:
        context, bento = Path(scratch), f"{name}:{bento_version(exact)}"
        target = target_file(bento, out.absolute())
        write_context(context, bento, target.name, exact, probe)
        build(context, bento)
        export(bento, target)
        shutil.copy(context / "README.md", readme_of(target))
    return target


def bento_version(tags: Sequence[str]) -> str:
    """Return the version of the Bento of `tags`: same models and same VUR give the same one."""
    return hashlib.sha256(json.dumps([__version__, *tags]).encode()).hexdigest()[:12]


def target_file(bento: str, out: Path) -> Path:
    """Return the file of a Bento: `out` itself if it is named so, else one in the folder `out`."""
    return out / f"{bento.replace(':', '-')}.bento" if out.is_dir() or out.suffix != ".bento" else out


def readme_of(target: Path) -> Path:
    """Return the file of the instructions that lie beside a Bento."""
    return target.with_suffix(".md")


def run_probe(paths: dict[str, str]) -> dict:
    """Return the first forecasts of each model and the versions of the libraries that computed them."""
    done = subprocess.run([sys.executable, "-c", PROBE, json.dumps(paths)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VurError("package.probe", reason=" ".join(done.stderr.strip().splitlines()[-1:]) or "-")
    return json.loads(done.stdout.splitlines()[-1])


def write_context(context: Path, bento: str, file: str, tags: Sequence[str], probe: dict) -> None:
    """Write what BentoML builds from to `context`: service, VUR's source, requirements, README, an example request.

    `bento` is its tag, and `file` the name of the file it will be in.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    example = {"model": tags[0]}
    values = {
        "name": bento.partition(":")[0],
        "bento": bento,
        "file": file,
        "tags": list(tags),
        "example": json.dumps(example),
        "version": __version__,
        "python": "{}.{}".format(*sys.version_info[:2]),
        "bentoml": importlib.metadata.version("bentoml"),
        "answer": json.dumps(probe["answers"][tags[0]][0]),
        "requirements": [f"{key}=={value}" for key, value in probe["versions"].items() if key.lower() not in LEFT_OUT],
    }
    for page, target in (
        ("service.py.j2", "service.py"),
        ("bentofile.yaml.j2", "bentofile.yaml"),
        ("package.md.j2", "README.md"),
    ):
        (context / target).write_text(pages.get_template(page).render(values), encoding="utf-8")
    (context / "example.json").write_text(json.dumps(example) + "\n", encoding="utf-8")
    shutil.copytree(
        SOURCE,
        context / "vur",
        ignore=shutil.ignore_patterns("__pycache__", "commands", "routes", "migrations", "jobs"),
    )


def build(context: Path, bento: str) -> None:
    """Build the Bento in the data home's store."""
    _bentoml("delete", "--yes", bento, check=False)
    _bentoml("build", "--version", bento.partition(":")[2], ".", cwd=context)


def export(bento: str, target: Path) -> None:
    """Export the Bento to a file and delete it from the store."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    _bentoml("export", bento, str(target))
    _bentoml("delete", "--yes", bento)


def _bentoml(*arguments: str, cwd: Path | None = None, check: bool = True) -> str:
    settings = os.environ | {"BENTOML_HOME": str(folder("bentoml")), "BENTOML_DO_NOT_TRACK": "True"}
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", *arguments],
        capture_output=True,
        text=True,
        env=settings,
        cwd=cwd,
        check=False,
    )
    if done.returncode and check:
        raise VurError("package.build", step=arguments[0], reason=" ".join((done.stderr or done.stdout).split())[-400:])
    return done.stdout
