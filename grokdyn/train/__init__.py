"""One run as pure functions, and many runs as one compiled program: the only compiled entry points."""
