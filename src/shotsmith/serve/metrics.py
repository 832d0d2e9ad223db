"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_QUERIES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        """They begin at zero, in a registry of their own."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("shotsmith_requests", "Requests answered.", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "shotsmith_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.selections = Counter(
            "shotsmith_selections", "Queries that demonstrations were selected for.", registry=registry
        )
        self.unfamiliar = Counter("shotsmith_unfamiliar", "Queries that were unfamiliar.", registry=registry)
        self.select_seconds = Histogram(
            "shotsmith_select_seconds", "Embedding and retrieval of one batch.", buckets=_SECONDS, registry=registry
        )
        self.batch = Histogram("shotsmith_batch_queries", "Queries of one batch.", buckets=_QUERIES, registry=registry)
        self.passed_on = Counter(
            "shotsmith_passed_on", "Chats sent upstream unchanged: their last user turn has no text.", registry=registry
        )
        self.log_failures = Counter(
            "shotsmith_log_failures", "Lines of the selections log that could not be written.", registry=registry
        )
        self.examples = Gauge("shotsmith_bank_examples", "Examples that can be shown.", registry=registry)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
