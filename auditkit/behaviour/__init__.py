"""What a model does when it can act: agents, the sandbox that they act in, and what left it."""
