"""What users bring, checked before anything is compiled: tables, outputs, losses, updates, what probes measure."""
