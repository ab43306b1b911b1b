"""What the server refuses to exceed: the one place for its bounds."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cifarlab.errors import UsageError

MIB = 2**20
# An explanation has so many covered copies of its picture in the queue at a time.
EXPLANATION_IMAGES = 16
EXPLAINED_PLACES = 1 + EXPLANATION_IMAGES  # that a picture takes with its explanation


@dataclass(frozen=True)
class Limits:
    """Bounds on what is held, read and waited for; whatever exceeds one is refused.

    Attributes:
        queue_images: pictures taken in and not answered yet, over all requests.
        batch_images: pictures that the model is given at a time.
        request_images: pictures in one request.
        explained_images: pictures in a request that asks for explanations.
        body_bytes: of one request.
        memory_bytes: of all requests' bodies together.
        uploads: requests whose bodies are being read.
        decoders: threads that decode pictures.
        head_seconds: from a connection's opening, or its last answer, to a request's whole head.
        body_seconds: from a request's head to the end of its body.
        deadline_seconds: from the end of a body to the answer; what waited longer is not computed.
        explain_seconds: the same for requests that ask for explanations.
        drain_seconds: from SIGTERM to the process's end.

    Raises:
        UsageError: a bound is not positive, or is larger than the one that it is part of.

    Example:
        >>> Limits(queue_images=8)
        Traceback (most recent call last):
            ...
        cifarlab.errors.UsageError: request_images (32) may not exceed queue_images (8)
    """

    queue_images: int = 128
    batch_images: int = 32
    request_images: int = 32
    explained_images: int = 4
    body_bytes: int = 32 * MIB
    memory_bytes: int = 256 * MIB
    uploads: int = 256
    decoders: int = 2
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    deadline_seconds: float = 5.0
    explain_seconds: float = 20.0
    drain_seconds: float = 15.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise UsageError(
                    f"{field.name} must be positive. Received: {getattr(self, field.name)}"
                )
        self._check_within("request_images", self.request_images, "queue_images")
        self._check_within("batch_images", self.batch_images, "queue_images")
        self._check_within("body_bytes", self.body_bytes, "memory_bytes")

    def _check_within(self, part: str, value: int, whole: str) -> None:
        if value > getattr(self, whole):
            raise UsageError(f"{part} ({value}) may not exceed {whole} ({getattr(self, whole)})")
