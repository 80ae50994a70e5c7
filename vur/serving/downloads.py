"""Names of downloaded files: readable in every language, and never a path."""

import unicodedata
from urllib.parse import quote

FORBIDDEN = frozenset('/\\:*?"<>|')  # in the name of a file on some system
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
