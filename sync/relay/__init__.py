"""The relay: it carries what it cannot read, holds half of a key until a date, and writes down every release.

It imports nothing of `vault`; a test proves it. Normative text: spec/relay.md.
"""
