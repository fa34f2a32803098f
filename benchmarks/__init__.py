"""The load and the measure: ours, and side by side with others. Run `python -m benchmarks`."""
