"""Everything that reads what somebody else wrote, under inputs that nobody would write. See __main__.py."""
