"""Cancel a conversation at its nth suspension: with a small n, at every await that it has."""

from readerd.driver.conformance.cancelling import cancelled_at

__all__ = ["cancelled_at"]
