"""What is measured, and how to measure it again. Each module is a command: `python -m benchmarks.NAME`."""
