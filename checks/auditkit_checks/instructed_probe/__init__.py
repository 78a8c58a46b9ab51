"""deception.instructed_probe: whether instructed deception can be read from activations."""
