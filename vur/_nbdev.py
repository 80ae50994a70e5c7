"""A hook of `nbdev-export`, named in pyproject.toml: it keeps the docstring of `vur` as it is written.

By default nbdev lists internal modules in it and in nbs/llms.txt.
"""

from typing import Any

import nbdev.config
import nbdev.doclinks


def keep_package_docstring(cell: Any) -> None:
    """Leave every `cell` as it is: importing this module is what turns the lists off."""


nbdev.config.update_init_mdoc = lambda path=None, desc=None: None
nbdev.doclinks.update_llms_txt = lambda path=None, fn=None, desc=None, index_nb=None: None
