"""Numbered SQL files, applied in order; `user_version` says how far a vault is."""
