"""What is done to the states of runs between two rounds of training."""
