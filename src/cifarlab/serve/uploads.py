"""Reading what a client sends, and no more of it than the limits allow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from fastapi import HTTPException, Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from cifarlab.serve.limits import MIB, Limits
from cifarlab.serve.service import Upload

FIELD = "images"
OTHER_FIELDS = 8  # form fields that are no files; none means anything here
# That the names in a form may be in. Python would try any: some fail in ways of their own, and each
# that it does not know it remembers for ever.
CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1")


class _InMemory(MultiPartParser):
    """Starlette's parser, but no file goes to disk, and a form that ends too early is refused."""

    spool_max_size = 0  # to a temporary file this means: never

    def __init__(self, request: Request, stream: AsyncGenerator[bytes, None], files: int):
        super().__init__(
            request.headers, stream, max_files=files, max_fields=OTHER_FIELDS, max_part_size=4096
        )
        self.ended = False

    def on_end(self) -> None:
        self.ended = True


async def read_uploads(
    request: Request, limits: Limits, more: Callable[[int], None]
) -> list[Upload]:
    """The pictures of a form's field `FIELD`, in their order.

    Args:
        request: whose body nothing has read yet.
        limits: on bytes, files and seconds.
        more: is told the number of bytes in each piece; raises when there is no room for them.

    Raises:
        HTTPException: 400 the form is damaged; 408 it came too slowly; 413 it is too large, or has
            too many parts; 415 it is no form, or in another charset; 422 it has no picture.
    """
    if content_type(request) != "multipart/form-data":
        raise HTTPException(
            415, f"send the pictures as multipart/form-data, in the field {FIELD!r}"
        )
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", CHARSETS[0]).lower() not in CHARSETS:
        raise HTTPException(415, "send the names in the form as UTF-8")
    stream = body_pieces(request, limits.body_bytes, more)
    # One more than allowed: so too many files, and a damaged form, are told apart.
    parser = _InMemory(request, stream, limits.request_images + 1)
    try:
        async with asyncio.timeout(limits.body_seconds):
            form = await parser.parse()
    except TimeoutError:
        raise too_slow(limits) from None
    except MultiPartException as error:
        status = 413 if error.message.startswith("Too many") else 400
        raise HTTPException(status, f"the form cannot be read: {error.message}") from None
    if not parser.ended:
        raise HTTPException(400, "the form ends before its last boundary; was it cut off?")
    files = [file for file in form.getlist(FIELD) if isinstance(file, UploadFile)]
    if len(files) > limits.request_images:
        raise HTTPException(
            413, f"a request may hold {limits.request_images} pictures; it holds {len(files)}"
        )
    if not files:
        raise HTTPException(422, f"there is no picture: the form has no file in {FIELD!r}")
    return [Upload(file.filename or None, await file.read()) for file in files]


async def read_body(
    request: Request, limit: int, limits: Limits, more: Callable[[int], None]
) -> bytes:
    """The whole body of at most `limit` bytes.

    Raises:
        HTTPException: 408 it came too slowly; 413 it is too large.
    """
    try:
        async with asyncio.timeout(limits.body_seconds):
            return b"".join([piece async for piece in body_pieces(request, limit, more)])
    except TimeoutError:
        raise too_slow(limits) from None


async def body_pieces(
    request: Request, limit: int, more: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, until it is larger than `limit`, whatever its head said of it."""
    declared = request.headers.get("content-length", "0")
    size = 0
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            more(len(piece))
            yield piece
    except ClientDisconnect:
        raise HTTPException(499, "the client left before its body was complete") from None


def content_type(request: Request) -> str:
    """The type that the head names, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def too_large(limit: int) -> HTTPException:
    """The answer to a body of more than `limit` bytes."""
    size = f"{limit / MIB:.0f} MiB" if limit >= MIB else f"{limit / 1024:.0f} KiB"
    return HTTPException(413, f"the body is larger than {size}; send fewer or smaller pictures")


def too_slow(limits: Limits) -> HTTPException:
    """The answer to a body that did not end in time."""
    return HTTPException(408, f"the body did not arrive within {limits.body_seconds:g} s")
