"""deception.interrogation: the same fact, asked in many ways."""
