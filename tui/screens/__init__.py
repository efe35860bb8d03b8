"""What a person sees, one screen or dialog per file. They ask the front doors of vault and sync, and decide nothing."""
