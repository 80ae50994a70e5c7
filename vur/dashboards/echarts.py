"""Apache ECharts as one JavaScript module, read from the package `ipecharts`, which carries it for JupyterLab.

Nothing is fetched from a network, and no foreign JavaScript is kept here. The package offers ECharts as a shared module
of its federated container (`init` and `get` of webpack's module federation), together with the chunks it lies in.
"""

import re
from functools import cache
from pathlib import Path

from vur.errors import VurError

SHARED = re.compile(r'\("echarts","([\d.]+)",\(\(\)=>Promise\.all\(\[([^\]]*)\]\)')
CHUNK = re.compile(r"\w+\.e\((\d+)\)")

MODULE = """const scope = {};
const own = { webpackChunkipecharts: [] };
(function (self) {
%(chunks)s
})(own);
const container = (function (self, globalThis) {
%(entry)s
return _JUPYTERLAB.ipecharts; })(own, { document: { currentScript: { src: "x/" } } });
await container.init(scope);
export default (await scope.echarts["%(version)s"].get())();
"""


@cache
def folder() -> Path:
    """The folder of the container and its chunks; `VurError` pages.no_echarts if the package is missing."""
    from jupyter_core.paths import jupyter_path

    for path in jupyter_path("labextensions"):
        if (found := Path(path, "ipecharts", "static")).is_dir():
            return found
    raise VurError("pages.no_echarts")


@cache
def module_text() -> str:
    """The text of a module whose default export is ECharts; `VurError` pages.no_echarts if the package has none."""
    entries = list(folder().glob("remoteEntry.*.js"))
    text = entries[0].read_text(encoding="utf-8") if entries else ""
    shared = SHARED.search(text)
    if shared is None:
        raise VurError("pages.no_echarts")
    version, list_of_chunks = shared.groups()
    files = [next(folder().glob(f"{number}.*.js")) for number in CHUNK.findall(list_of_chunks)]
    parts = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return MODULE % {"chunks": parts, "entry": text, "version": version}
