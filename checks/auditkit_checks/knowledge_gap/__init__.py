"""deception.knowledge_gap: what a model knows, against what it states."""
