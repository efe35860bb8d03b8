"""The network side: the shapes that travel, the HTTP client, the exchange, and the blind relay.

Nothing is imported here, so that a relay imports nothing of a patient's vault.
"""
