"""Run a batch: chunk after chunk, with what it found kept."""
