"""Streaming parser for a form with one file: chunks go straight to disk, so memory use does not grow with the file."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from vur.errors import VurError
from vur.text import phrase

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PIECE = 2**20
MOST_FIELDS = 30
MOST_FIELD_BYTES = 64 * 1024
Write = Callable[[bytes], None]


class FileForm:
    """Parses multipart/form-data: `fields` maps names to texts; `open_file(filename)` returns the sink of the file.

    `VurError` forms.media_type or forms.boundary for another content type, forms.broken for a malformed form,
    forms.one_file for no file or more than one.
    """

    def __init__(self, content_type: str, open_file: Callable[[str], Write]):
        kind, parameters = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise VurError("forms.media_type", field="file", given=content_type[:100] or "-")
        if not parameters.get(b"boundary"):
            raise VurError("forms.boundary", field="file", given=content_type[:100])
        self.open_file = open_file
        self.fields: dict[str, str] = {}
        self.write: Write | None = None
        self.part: dict[str, Any] = {}
        self.pieces: list[bytes] = []
        self.waiting, self.is_complete = 0, False
        callbacks: MultipartCallbacks = {
            "on_part_begin": self.on_part_begin,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_headers_finished": self.on_headers_finished,
            "on_part_data": self.on_part_data,
            "on_part_end": self.on_part_end,
            "on_end": self.on_end,
        }
        self.parser = MultipartParser(parameters[b"boundary"], callbacks)

    def on_part_begin(self) -> None:
        """Start a part."""
        self.part = {"name": b"", "value": b"", "headers": {}, "text": bytearray(), "file": False}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Append to a header's name."""
        self.part["name"] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Append to a header's value."""
        self.part["value"] += data[start:end]

    def on_header_end(self) -> None:
        """Finish a header."""
        self.part["headers"][self.part["name"].lower()] = self.part["value"]
        self.part["name"] = self.part["value"] = b""

    def on_headers_finished(self) -> None:
        """Start the part's content: the file or a text field."""
        _, options = parse_options_header(self.part["headers"].get(b"content-disposition"))
        self.part["field"] = _text(options.get(b"name", b""))
        if b"filename" in options:
            if self.part["field"] != "file" or self.write is not None:
                raise VurError("forms.one_file", field=self.part["field"])
            self.part["file"] = True
            self.write = self.open_file(_text(options[b"filename"]))
        elif len(self.fields) >= MOST_FIELDS:
            raise VurError("forms.broken", reason=phrase("forms.reason.fields", most=MOST_FIELDS))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Append to the part's content."""
        if self.part["file"]:
            self.pieces.append(data[start:end])
            self.waiting += end - start
            return
        self.part["text"] += data[start:end]
        if len(self.part["text"]) > MOST_FIELD_BYTES:
            raise VurError(
                "forms.broken", reason=phrase("forms.reason.bytes", name=self.part["field"][:50], most=MOST_FIELD_BYTES)
            )

    def on_part_end(self) -> None:
        """Finish a part."""
        if not self.part["file"]:
            self.fields[self.part["field"]] = _text(bytes(self.part["text"]))

    def on_end(self) -> None:
        """Finish the form."""
        self.is_complete = True

    def flush(self) -> None:
        """Write the buffered bytes of the file to its sink."""
        if self.pieces:
            assert self.write is not None  # only the file's part collects pieces
            self.write(b"".join(self.pieces))
        self.pieces, self.waiting = [], 0

    def feed(self, chunk: bytes) -> None:
        """Parse a chunk of the body. Opening the file blocks: call this in a thread."""
        try:
            self.parser.write(chunk)
        except FormParserError:
            raise VurError("forms.broken", reason=phrase("forms.reason.boundary")) from None
        if self.waiting >= PIECE:
            self.flush()

    def end(self) -> None:
        """Finish parsing. `VurError` if the form is incomplete or had no file."""
        self.flush()
        if not self.is_complete:
            raise VurError("forms.broken", reason=phrase("forms.reason.end"))
        if self.write is None:
            raise VurError("forms.one_file", field="-")


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in chunks of about 1 MiB."""
    held, size = [], 0
    async for chunk in request.stream():
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


async def read_form(request: Request, open_file: Callable[[str], Write]) -> dict[str, str]:
    """Read a form; its file goes to the sink that `open_file` returns. Returns the text fields."""
    form = FileForm(request.headers.get("content-type", ""), open_file)
    async for piece in pieces(request):
        await run_in_threadpool(form.feed, piece)
    await run_in_threadpool(form.end)
    return form.fields
