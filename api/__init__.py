"""The HTTP API. Routes parse, call the pipeline, format; nothing is wired at import time.

`app.create_app` makes the application from wired services; `auth` says who may; `body` takes what comes in, `push_body`
reads pushes; `errors` is the one map from errors to problem documents (RFC 9457); `schemas` are the answers' shapes,
`views` fill them. `requests` tells of every request; `otlp` is OpenTelemetry's way in, with answers of its own, and
`server` runs it all, and ends in order.
"""
