"""Traces by OpenTelemetry's SDK, as its environment variables say (extra `otel`).

Of a request a span has the method, the route's template and the status, of the ledger's work the log and counts; of an
exception the class. Nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ledger import __version__
from ledger.telemetry import Attributes

FLUSH_SECONDS = 3.0
"""How long the last spans may take at the end."""


class _Telling:
    """A span that runs."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def tell(self, attributes: Attributes, name: str | None = None) -> None:
        self._span.set_attributes(attributes)
        if name is not None:
            self._span.update_name(name)


class OpenTelemetryTracer:
    """`Tracer` that exports by OTLP/HTTP. The endpoint, sampling and limits are the environment's."""

    def __init__(self) -> None:
        known = Resource({SERVICE_NAME: "transfer-ledger", SERVICE_VERSION: __version__})
        self._provider = TracerProvider(
            resource=known.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("transfer-ledger", __version__)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self, name: str, attributes: Attributes, *, parent: Mapping[str, str] | None = None
    ) -> Iterator[_Telling]:
        served = parent is not None
        with self._tracer.start_as_current_span(
            name,
            context=self._propagator.extract(parent) if parent is not None else None,
            kind=SpanKind.SERVER if served else SpanKind.INTERNAL,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _Telling(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def close(self) -> None:
        """Export the last spans, if it can be done in `FLUSH_SECONDS`."""
        last = threading.Thread(target=self._provider.shutdown, name="ledger-spans", daemon=True)
        last.start()
        last.join(FLUSH_SECONDS)
