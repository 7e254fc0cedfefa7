"""What is minimised: logits and labels -> one loss per row."""
