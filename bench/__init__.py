"""Benchmarks: never part of the test run. `python -m bench [NAME…]` runs each `main()` in turn."""
