"""Answers drawn from the record: pure functions over documents and entries, nothing stored."""
