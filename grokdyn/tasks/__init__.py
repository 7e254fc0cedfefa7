"""What is learned: a description -> a table of inputs and labels, a split of its rows, corrupted labels."""
