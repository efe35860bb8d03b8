"""Seeded runs of whole lives: holder, professionals, laboratory and relay, on one virtual clock."""
