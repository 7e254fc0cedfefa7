"""What is kept: the folder of a sweep, its pieces, its results."""
