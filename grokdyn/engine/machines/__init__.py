"""Where batches run: in this process, among others that share a folder, on a cluster."""
