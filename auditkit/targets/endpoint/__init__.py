"""A model behind an OpenAI-compatible API: asked over HTTP, trusted with nothing."""
