"""deception.follow_up: unrelated questions after a statement."""
