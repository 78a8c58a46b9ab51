"""How many independent samples a grouped sample is worth.

Samples of one group share words or an object, so their outcomes go together and 600 samples in
60 groups say less than 600 on their own. The design effect says how much less.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

from auditkit.statistics.inputs import Floats, Indices

MIN_INFORMATIVE_GROUPS = 10
"""Below as many groups that hold a rarer outcome, dependence within groups can't be estimated."""


def effective_size(values: Floats, index: Indices, n_groups: int, level: float) -> float:
    """Independent samples that give a mean the variance that it has here.

    ``n / max(1, design effect)``, where the design effect is the variance of the mean between
    groups over that of as many independent samples, and then shrunk by the squared ratio of the
    normal to the t quantile with ``n_groups - 1`` degrees of freedom, so that an interval for
    independent samples may be used at this size. Where fewer than `MIN_INFORMATIVE_GROUPS` groups
    hold anything but the commonest value, the samples of a group count as copies of each other.
    Ungrouped samples (every group has one) are returned as they are.

    Args:
        values: Few distinct ones (0 and 1; -1, 0 and 1), shape [n_samples].
        index: Number of each sample's group, shape [n_samples].
        n_groups: How many groups there are, at least 2.
        level: Confidence level of the interval to be made.

    Source:
        Kish (1965), Survey Sampling, section 8.2; Korn & Graubard (1998), Survey Methodology 24;
        Rao & Scott (1992), Biometrics 48.
    """
    n = values.size
    sizes = np.bincount(index, minlength=n_groups)
    if n_groups == n:
        return float(n)
    copies = float((sizes**2).sum()) / n
    deviations = values - values.mean()
    independent = float((deviations**2).sum())
    between = float((np.bincount(index, deviations, n_groups) ** 2).sum())
    between *= n_groups / (n_groups - 1)
    effect = max(1.0, between / independent) if independent > 0 else copies
    distinct, counts = np.unique(values, return_counts=True)
    rarer = np.unique(index[values != distinct[counts.argmax()]])
    if rarer.size < MIN_INFORMATIVE_GROUPS:
        effect = max(effect, copies)
    tail = (1 + level) / 2
    return n / effect * float(norm.ppf(tail) / t.ppf(tail, n_groups - 1)) ** 2
