"""The server under many clients: `python -m benchmarks.serving`."""
