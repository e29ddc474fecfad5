"""The clock that jumps, under the name that tests import: it belongs to the conformance kit."""

from readerd.driver.conformance.clock import Deadlock, VirtualLoop, run_virtual

__all__ = ["Deadlock", "VirtualLoop", "run_virtual"]
