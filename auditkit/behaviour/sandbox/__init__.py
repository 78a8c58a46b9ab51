"""The bubblewrap sandbox: two layers, a stage with precautions, records of what happened on it."""
