"""Networks: init(key) and apply(params, inputs) -> logits and named activations."""
