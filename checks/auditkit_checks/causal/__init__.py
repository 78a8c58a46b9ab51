"""deception.causal: whether the model uses the direction in which truth is read."""
