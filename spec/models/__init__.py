"""Formal models of what the texts promise, and what they leave out. Run them: `python -m spec.models`."""
