"""What is done to the rows of an update before the loss sees them: mixed, moved, weighed, left out."""
