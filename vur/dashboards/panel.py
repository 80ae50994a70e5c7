"""A panel: one widget with one JSON state, which a JavaScript module of `static/panels` draws."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"
LOADER = (STATIC / "loader.mjs").read_text(encoding="utf-8")

Handler = Callable[..., Any]


@cache
def modules() -> dict[str, str]:
    """The text of every JavaScript module by its path under `static`, for pages that no VUR server serves."""
    from vur.dashboards.echarts import module_text

    names = sorted(path for path in STATIC.rglob("*.mjs") if path.name != "loader.mjs")
    found = {path.relative_to(STATIC).as_posix(): path.read_text(encoding="utf-8") for path in names}
    return found | {"echarts.mjs": module_text(), "vur.css": (STATIC / "vur.css").read_text(encoding="utf-8")}


class Panel(anywidget.AnyWidget):
    """One panel of a page.

    `kind` names its module in `static/panels`; `content` is what it shows, JSON. What arrives from the browser is an
    event with values, both hostile.
    """

    _esm = LOADER
    kind = traitlets.Unicode().tag(sync=True)
    content = traitlets.Dict().tag(sync=True)
    picture = traitlets.Unicode().tag(sync=True)  # the class of a static picture in the same cell, to hide it

    def __init__(self, kind: str, content: dict[str, Any] | None = None):
        super().__init__(kind=kind, content=content or {})
        self.handlers: dict[str, tuple[Handler, str]] = {}
        self.dispatch: Callable[[Panel, str, Any], str | None] | None = None
        self.on_msg(self._receive)

    def show(self, **content: Any) -> None:
        """Replace what the panel shows."""
        if content != self.content:
            self.content = content

    def update(self, **content: Any) -> None:
        """Replace some keys of what the panel shows."""
        self.show(**(self.content | content))

    def on(self, event: str, handler: Handler, role: str = "viewer") -> None:
        """Call `handler(values)` for an event from the browser, if the visitor has at least `role`."""
        self.handlers[event] = (handler, role)

    def tell(self, **message: Any) -> None:
        """Send a message to the panel's module in the browser, such as points to append."""
        self.send(message)

    def _receive(self, _: Any, message: Any, buffers: Any) -> None:
        if not isinstance(message, dict):
            return
        if message.get("ask") == "modules":
            texts = modules()
            self.send({"modules": list(texts)}, buffers=[text.encode() for text in texts.values()])
        elif isinstance(event := message.get("event"), str):
            error = self.dispatch(self, event, message.get("values")) if self.dispatch else None
            self.send({"done": message.get("id"), "error": error})
