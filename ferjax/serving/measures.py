"""What a server counts, in Prometheus' text format. Nothing of it says what was seen in a picture."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Measures:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        own = self._registry
        self.requests = Counter("ferjax_requests", "Answered requests", ("route", "status"), registry=own)
        self.seconds = Histogram(
            "ferjax_request_seconds", "Time from a request to its answer", ("route",), buckets=_SECONDS, registry=own
        )
        self.in_progress = Gauge("ferjax_requests_in_progress", "Predictions that are being answered", registry=own)
        self.pictures = Counter("ferjax_pictures", "Pictures, by whether they could be read", ("status",), registry=own)
        self.faces = Counter("ferjax_faces", "Classified faces", registry=own)
        self.batches = Histogram(
            "ferjax_batch_faces", "Faces in a batch of the network", buckets=(1, 2, 4, 8, 16, 32, 64), registry=own
        )

    def write(self) -> bytes:
        """Return all of them in the text format, version 0.0.4."""
        return generate_latest(self._registry)
