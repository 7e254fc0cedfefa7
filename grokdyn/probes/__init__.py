"""What is seen during training: each probe is a name, axes, and a pure function of a view."""
