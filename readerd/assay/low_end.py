"""Does the fitted lower asymptote lie above the low samples, so that none of them can be read?"""

from collections.abc import Sequence

import numpy as np

from readerd.assay.curve.curve import Curve
from readerd.assay.result import Rule, Sample

_STANDARD_ERRORS = 3.0


def judge_low_end(curve: Curve | None, samples: Sequence[Sample]) -> Rule:
    """Warn when a sample's mean lies beyond the response at dose zero by more than its noise."""
    rule_id, limit = "low-asymptote", _STANDARD_ERRORS
    seen = [(sample, sample.mean) for sample in samples if sample.mean is not None]
    if curve is None or curve.covariance is None or not seen:
        return Rule(id=rule_id, verdict="none", observed=None, limit=limit)
    zero = np.array([-np.inf])
    if curve.model == "log-log":
        return Rule(id=rule_id, verdict="none", observed=None, limit=limit)
    at_zero, rows = curve.value_and_gradient(zero)
    wells = np.array([max(len(sample.wells), 1) for sample, _ in seen], dtype=float)
    own = curve.variance_of_mean(np.full(wells.size, at_zero[0]), wells)
    noise = np.sqrt(own + curve.variance_of_value(rows)[0])
    way = 1.0 if curve.rising else -1.0
    means = np.array([mean for _, mean in seen])
    below = way * (at_zero[0] - means)
    errors = np.where(noise > 0.0, below / np.where(noise > 0.0, noise, 1.0), 0.0)
    named = [sample.position for (sample, _), far in zip(seen, errors, strict=True) if far > limit]
    return Rule(
        id=rule_id,
        verdict="warn" if named else "pass",
        observed=float(errors.max()),
        limit=limit,
        text=f"below the fitted lower asymptote: {', '.join(named)}" if named else None,
    )
