"""A pipeline as code: the Python, the `vur` command and the HTTP requests that do the same as its steps; a notebook.

What is printed is complete: with the data's file in the working folder, and the service's token in `VUR_TOKEN` for
HTTP, it runs as it is and gives the same configuration. Every value is quoted for the language that it stands in.
"""

import json
import shlex
from dataclasses import dataclass
from pprint import pformat
from typing import Any

import yaml

from vur.runs.config import Config
from vur.store.pipelines import SECTIONS, STEPS
from vur.text import translate

WIDTH = 100
FILE = "pipeline.yaml"


@dataclass(frozen=True)
class Source:
    """What the code of a pipeline is made from.

    `config` is the whole configuration that a training would have, `file` the name of the data's original file,
    `stored` the stored settings of each step, `url` the address of the service.
    """

    pipeline_id: str
    dataset_id: str
    name: str
    file: str
    number: int
    config: Config
    stored: dict[str, dict[str, Any]]
    url: str
    language: str


class _Expression(str):
    """A value that stands in a dictionary as code, not as text."""

    def __repr__(self) -> str:
        return str(self)


def code(source: Source, step: str) -> dict[str, str]:
    """`python, command, http` and `file`, the data's file that they read, for the choices up to `step`."""
    return {
        "step": step,
        "python": python(source, step),
        "command": command(source, step),
        "http": http(source, step),
        "file": source.file,
        "download": download(source),
    }


def choices(config: Config, step: str = "training") -> dict[str, Any]:
    """The choices up to a step as data for `Config.from_dict`: what differs from the defaults, without the file."""
    usual, content = Config().to_dict(), config.to_dict()
    sections = [SECTIONS[name] for name in STEPS[: STEPS.index(step) + 1] if name in SECTIONS]
    found: dict[str, Any] = {key: content[key] for key in ("name", "language") if content[key] is not None}
    for name in ("data", "hierarchy", *sections[1:]):
        if name == "hierarchy" and step == "upload":
            continue
        values = {
            key: _plainest(value, usual[name][key])
            for key, value in content[name].items()
            if value != usual[name][key] and key not in ("path", "fingerprint")
        }
        if step == "upload":
            values = {key: value for key, value in values.items() if key == "upload"}
        if values:
            found[name] = values
    return found


def _plainest(value: Any, usual: Any) -> Any:
    """A mapping without its entries that are as usual; everything else as it is."""
    if isinstance(value, dict) and isinstance(usual, dict) and usual.keys() == value.keys():
        return {key: entry for key, entry in value.items() if entry != usual[key]}
    return value


def comment(key: str, language: str, mark: str = "# ", **values: Any) -> str:
    """A sentence as a line of comment."""
    return mark + translate(f"code.{key}", language, **values)


# --- Python ---

TAILS = {
    "upload": "for column in run.upload.upload.columns:\n    print(column.name, column.type)",
    "preview": 'print(run.panel)\nprint(run.findings[["severity", "message"]].to_string())',
    "split": "print(split_table(run.panel, run.plan).to_string())",
    "preprocessing": "print(run.preprocessor.report.to_string())\nprepared = run.preprocessor.transform(run.panel)",
    "features": "matrix = features_frame(run.preprocessor.transform(run.panel), run.features)\nprint(matrix.head())",
    "model": "for candidate in run.candidates:\n    print(candidate.id, candidate.parameters)",
}
IMPORTS = {
    "split": "from vur.stages.split import split_table\n",
    "features": "from vur.stages.features import features_frame\n",
}


def python(source: Source, step: str) -> str:
    """A program that does the steps up to `step`, and prints what that one finds."""
    language = source.language
    head = f"from pathlib import Path\n\nimport vur\n{_run_imports(step)}\n"
    read = f"source = Path({source.file!r}).absolute()\n"
    if step == "training":
        tail = (
            "result = vur.run(source, config=config)\nprint(result.leaderboard.to_string())\n"
            "print(result.forecast.head())\nprint(result.report)"
        )
        return f"{comment('python.training', language)}\n{head}{read}{_config(source, step, {})}{tail}\n"
    run = 'run = Run(prepare(config, Path("reports")))\n'
    path = {"path": _Expression("str(source)")}
    return f"{comment(f'python.{step}', language)}\n{head}{read}{_config(source, step, path)}{run}{TAILS[step]}\n"


def _run_imports(step: str) -> str:
    if step == "training":
        return ""
    return f"from vur.runs.api import prepare\nfrom vur.runs.run import Run\n{IMPORTS.get(step, '')}"


def _config(source: Source, step: str, place: dict[str, Any]) -> str:
    """The assignment of the configuration; `place` are entries of its data section that are code."""
    content = choices(source.config, step)
    if place:
        content["data"] = place | content.get("data", {})
    written = pformat(content, width=WIDTH - 4, sort_dicts=False)
    indented = written.replace("\n", "\n    ")
    return f"config = vur.Config.from_dict(\n    {indented}\n)\n"


# --- the command ---


def command(source: Source, step: str) -> str:
    """`vur run` with the choices up to `step`: as options where there is one for each, else as a pipeline.yaml."""
    content, language = choices(source.config, step), source.language
    file = source.file if not source.file.startswith("-") else f"./{source.file}"
    head = comment("command", language)
    options = run_options(content)
    if options is not None:
        return f"{head}\n{_wrapped(['vur', 'run', file, *options])}\n"
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    end = "YAML"
    while f"\n{end}\n" in f"\n{text}":
        end += "_"
    return f"{head}\ncat > {FILE} <<'{end}'\n{text}{end}\n{shlex.join(['vur', 'run', file, '--config', FILE])}\n"


def _wrapped(words: list[str]) -> str:
    """Words of a command, quoted for the shell, on lines that end in a backslash."""
    lines, line = [], ""
    for word in map(shlex.quote, words):
        if line and len(line) + len(word) > WIDTH:
            lines.append(line)
            line = f"    {word}"
        else:
            line = f"{line} {word}" if line else word
    return " \\\n".join([*lines, line])


NAMES = {
    "data": ("date", "target", "freq", "tz", "duplicates", "absent", "ended"),
    "split": ("horizon", "folds"),
    "features": ("country", "state"),
    "model": ("preset", "metric", "effects"),
    "training": ("time_budget", "seed"),
}
ROLES = {"known_future": "--known-future", "past_only": "--past-only", "exclude": "--exclude"}


def run_options(content: dict[str, Any]) -> list[str] | None:
    """The options of `vur run` for plain choices; None if one of them has no option."""
    left = {name: dict(values) for name, values in content.items() if isinstance(values, dict)}
    found = [f"--{key}={content[key]}" for key in ("name", "language") if key in content]
    for section, names in NAMES.items():
        values = left.get(section, {})
        found += [f"--{key.replace('_', '-')}={_text(values.pop(key))}" for key in names if values.get(key) is not None]
    found += _data_options(left.get("data", {})) + _model_options(left.get("model", {}))
    found += _training_options(left.setdefault("training", {}))
    return None if any(left.values()) else found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _data_options(values: dict[str, Any]) -> list[str]:
    """The options of columns and reading; what has none is left in `values`."""
    found = [f"--series={name}" for name in values.pop("series", ())] if values.get("series") else []
    found += [f"--trust={name}" for name in values.pop("trust", ())]
    roles = values.get("roles", {})
    if all(role in ROLES for role in roles.values()):
        found += [f"{ROLES[role]}={name}" for name, role in values.pop("roles", {}).items()]
    reading = values.get("upload", {})
    if reading.keys() <= {"date_order", "sentinels"}:
        found += [f"--{key.replace('_', '-')}={value}" for key, value in values.pop("upload", {}).items()]
    return found


def _model_options(values: dict[str, Any]) -> list[str]:
    found = []
    algorithms = values.pop("algorithms", None)
    if algorithms is not None:
        found.append(f"--algorithms={algorithms if isinstance(algorithms, str) else ','.join(algorithms)}")
    search = values.get("optimize", {})
    if search.keys() <= {"iterations", "method"} and "iterations" in search:
        found.append(f"--optimize={search['iterations']}")
        found += [f"--optimize-method={search['method']}"] if "method" in search else []
        values.pop("optimize")
    return found


def _training_options(values: dict[str, Any]) -> list[str]:
    """Levels are always named: those of another machine's settings may differ."""
    levels = values.pop("levels", list(Config().training.levels))
    found = [f"--levels={','.join(f'{level:g}' for level in levels)}"]
    if "whole" in values:
        found.append("--whole" if values.pop("whole") else "--no-whole")
    return found


# --- HTTP ---


def http(source: Source, step: str) -> str:
    """The requests of a step with curl."""
    lines = [comment("http", source.language), f'VUR_URL="${{VUR_URL:-{source.url}}}"']
    if step == "upload":
        lines += [_upload(source), comment("http.pipeline", source.language), _new_pipeline(source)]
    elif step == "training":
        at = f"/pipelines/{source.pipeline_id}"
        lines += [
            _request("PUT", f"{at}/steps/training", {"data": source.stored.get("training", {})}),
            comment("http.train", source.language),
            f'MODEL=$({_request("POST", f"{at}/models", {})} | sed -E \'s/^.*"model_id":"([^"]+)".*$/\\1/\')',
            _request("POST", "/models/$MODEL/train", {}),
            comment("http.status", source.language),
            _request("GET", "/models/$MODEL/training/status"),
        ]
    else:
        stored = source.stored.get(step, {})
        lines.append(_request("PUT", f"/pipelines/{source.pipeline_id}/steps/{step}", {"data": stored}))
    return "\n".join(lines) + "\n"


def _request(method: str, path: str, body: dict[str, Any] | None = None) -> str:
    """A request with the token; `path` holds only ids and variables of the shell."""
    lines = ["curl -sS --fail-with-body" + (f" -X {method}" if method != "GET" else "")]
    lines[0] += f' "$VUR_URL/api/v1{path}"'
    lines.append('-H "Authorization: Bearer $VUR_TOKEN"')
    if body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n    ".join(lines)


def _upload(source: Source) -> str:
    """The upload of the file, read in the same way."""
    named = source.file.replace("\\", "\\\\").replace('"', '\\"')
    options = choices(source.config, "upload").get("data", {}).get("upload", {})
    fields = [f"{key}={_form_text(value)}" for key, value in options.items()]
    return " \\\n    ".join(
        [
            'curl -sS --fail-with-body "$VUR_URL/api/v1/datasets/upload"',
            '-H "Authorization: Bearer $VUR_TOKEN"',
            f"-F {shlex.quote(f'file=@{chr(34)}{named}{chr(34)}')}",
            *(f"--form-string {shlex.quote(entry)}" for entry in fields),
        ]
    )


def _form_text(value: Any) -> str:
    """An option of reading as a field of a form."""
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return ",".join(value) if isinstance(value, list) else str(value)


def _new_pipeline(source: Source) -> str:
    return _request("POST", "/pipelines", {"name": source.name, "dataset_id": source.dataset_id})


def download(source: Source) -> str:
    """The request for the file that the code reads."""
    path = f"/datasets/{source.dataset_id}/download?format=original&version={source.number}"
    fetch = _request("GET", path)
    return f'VUR_URL="${{VUR_URL:-{source.url}}}"\n{fetch} \\\n    -o {shlex.quote(source.file)}\n'


# --- the notebook ---


def notebook(source: Source) -> dict[str, Any]:
    """A notebook (nbformat 4.5) that trains with the pipeline's configuration and shows what it found.

    It reads the file beside it, else downloads it with `VUR_TOKEN`, else takes the data stored under their fingerprint.
    """
    language = source.language
    fingerprint = source.config.data.fingerprint
    place = {"path": _Expression("str(source)")} | ({"fingerprint": fingerprint} if fingerprint else {})
    told = {"file": source.file}
    cells = [
        ("markdown", f"# {_escaped(source.name)}\n\n{translate('code.notebook.about', language)}"),
        ("markdown", translate("code.notebook.data", language, **told)),
        ("code", _fetching(source)),
        ("markdown", translate("code.notebook.config", language)),
        ("code", _config(source, "training", place).rstrip()),
        ("markdown", translate("code.notebook.train", language)),
        ("code", "result = vur.run(config=config)\nresult.leaderboard"),
        ("code", "result.audit"),
        ("code", "result.forecast"),
        ("code", "result.plot()"),
        ("markdown", translate("code.notebook.more", language)),
        ("code", "result.report"),
    ]
    return {
        "cells": [_cell(number, kind, text) for number, (kind, text) in enumerate(cells, 1)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _escaped(text: str) -> str:
    """A name as it stands in Markdown, without markup or HTML."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>()#+-.!|&$~" else letter for letter in text)


def _cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"id": f"cell-{number}", "cell_type": kind, "metadata": {}}
    cell["source"] = text.splitlines(keepends=True)
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _fetching(source: Source) -> str:
    path = f"/api/v1/datasets/{source.dataset_id}/download?format=original&version={source.number}"
    return f"""import os
from pathlib import Path
from urllib.request import Request, urlopen

import vur

source = Path({source.file!r}).absolute()
if not source.is_file() and "VUR_TOKEN" in os.environ:
    address = os.environ.get("VUR_URL", {source.url!r}) + {path!r}
    request = Request(address, headers={{"Authorization": "Bearer " + os.environ["VUR_TOKEN"]}})
    source.write_bytes(urlopen(request).read())"""
