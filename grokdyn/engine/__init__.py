"""From a description to a Dataset: plan, devices, host loop, store, progress."""
