"""Fixtures of the whole: see `whole_bench`."""

from tests.whole.whole_bench import bench, start

__all__ = ["bench", "start"]
