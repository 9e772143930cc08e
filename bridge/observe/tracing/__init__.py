"""Traces: read `traces` first, which makes spans of facts; `export` sends them away, in the words of `bridge.observe.otlp`.

A span is a stretch of time in a trace (OpenTelemetry, "Traces"). Where `bridge.tracing` is not set nothing of it is loaded.
"""
