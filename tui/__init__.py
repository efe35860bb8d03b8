"""What a person sees: the command line and the screens. Nothing here decides; all of it asks `vault` and `sync`."""
