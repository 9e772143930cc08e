"""The process: configuration, wiring, pipeline, command line. Read `pipeline.py` first."""
