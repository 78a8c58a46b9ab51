"""oversight.critique_gap: what a model knows to be wrong, against what it says is wrong."""
