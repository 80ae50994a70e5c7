"""Downloaded files: names that are readable in every language and never a path, and workbooks made for one answer."""

import shutil
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

FORBIDDEN = frozenset('/\\:*?"<>|')  # in the name of a file on some system
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LONGEST = 150  # letters; each is up to twelve bytes in the header


def file_name(name: str, suffix: str = "") -> str:
    """`name` as the name of a file: separators of folders and control characters become `_`."""
    plain = "".join(
        "_" if letter in FORBIDDEN or not letter.isprintable() else letter
        for letter in unicodedata.normalize("NFC", name)
    )
    return (plain.strip(". ")[:LONGEST] or "data") + suffix


def attachment(name: str, suffix: str = "") -> dict[str, str]:
    """The header of a download that is saved as `name` with `suffix`, with an ASCII name for old clients."""
    full = file_name(name, suffix)
    ascii_name = full.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return {"Content-Disposition": f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(full, safe='')}"}


def excel_file(write: Callable[[str], None], name: str) -> FileResponse:
    """The answer with the workbook that `write` makes at a path, saved as `name`; the file is deleted after it."""
    scratch = tempfile.mkdtemp(prefix="vur-excel-")
    path = Path(scratch) / "table.xlsx"
    try:
        write(str(path))
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    tidy = BackgroundTask(shutil.rmtree, scratch, ignore_errors=True)
    return FileResponse(path, media_type=EXCEL, headers=attachment(name, ".xlsx"), background=tidy)
