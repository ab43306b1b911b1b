"""What the server counts, for Prometheus: every name, its labels and its meaning."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Telemetry:
    """The server's metrics, in a registry of their own.

    Args:
        queued: pictures taken in and not answered yet, asked when the metrics are read.

    Example:
        >>> telemetry = Telemetry(lambda: 3)
        >>> telemetry.rejected("queue")
        >>> "cifarlab_queue_images 3.0" in telemetry.text()
        True
    """

    def __init__(self, queued: Callable[[], int]):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "cifarlab_requests",
            "Answers, by route as documented and status; 499: the client left before its answer.",
            ["route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "cifarlab_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter(
            "cifarlab_images",
            "Pictures answered: predicted, or unreadable.",
            ["outcome"],
            registry=registry,
        )
        self._rejected = Counter(
            "cifarlab_rejected",
            "Requests answered 503, by what there was no room for.",
            ["reason"],
            registry=registry,
        )
        self._batches = Histogram(
            "cifarlab_batch_images",
            "Pictures that the model was given at a time.",
            buckets=_IMAGES,
            registry=registry,
        )
        queue = Gauge(
            "cifarlab_queue_images", "Pictures taken in and not answered yet.", registry=registry
        )
        queue.set_function(queued)

    def answered(self, route: str, status: int) -> None:
        """Count an answer as its first byte leaves."""
        self._requests.labels(route, str(status)).inc()

    def took(self, route: str, seconds: float) -> None:
        """Note how long a request took."""
        self._seconds.labels(route).observe(seconds)

    def images(self, predicted: int, unreadable: int = 0) -> None:
        """Count pictures of a request that was answered."""
        self._images.labels("predicted").inc(predicted)
        self._images.labels("unreadable").inc(unreadable)

    def rejected(self, reason: str) -> None:
        """Count a request for which there was no room."""
        self._rejected.labels(reason).inc()

    def batch(self, images: int) -> None:
        """Note a batch's size."""
        self._batches.observe(images)

    def text(self) -> str:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry).decode()
