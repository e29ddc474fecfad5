"""From standards to a curve, and from a response back to a concentration with its error.

Rules of the room: pure (no clock, no I/O, no log); scipy only here; levels are sorted before they
are fitted, so the order of arrival cannot change a bit; a curve is refused with a reason, never
with an exception; no NaN leaves the room. `fit` fits, `inverse` reads back, `models` are formulas.
"""
