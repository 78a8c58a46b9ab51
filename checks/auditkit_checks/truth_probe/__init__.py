"""deception.truth_probe: whether truth can be read from activations."""
