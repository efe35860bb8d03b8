"""The patient's house: offline, synchronous, no network, no screen."""
