"""Estimates with intervals: pure functions of recorded evidence, so that a verifier gets the same.

    proportions    rates, worst case over unusable samples, paired differences
    clusters       how many independent samples a grouped sample is worth
    weighted       mean, difference, AUROC, recall and rank correlation of weighted samples
    bootstrap      whole groups resampled, for any statistic of weighted samples (bca: its arithmetic)
    association    rank correlation of two measures of the same samples
    ranking        AUROC, within topics, differences of two scores, recall at a false-positive rate
    multiplicity   Holm, and its step-down for decisions that are reached at a confidence level
    permutation    the best cell of a sweep against the best cells of its null
    power          how often a control was caught; the smallest effect that would have been
    equivalence    above a margin, below it, or undecided; what an equivalence test can show
    ratios         which share of a gap was recovered (SGR, PGR)
    agreement      how far two models answer alike, beyond what their accuracies give
    similarity     how alike they represent the same texts; for description alone

Import from the modules: this package imports nothing, to keep ``import auditkit`` light.
"""
