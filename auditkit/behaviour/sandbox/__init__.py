"""The bubblewrap sandbox: two layers, a stage with precautions, and records of everything that happened on it."""
