"""deception.trigger_scan: a search for contexts that switch what a model states."""
