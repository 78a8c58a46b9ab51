"""Measures of hardness, fixed by name in a check's parameters, and how far they agree."""
