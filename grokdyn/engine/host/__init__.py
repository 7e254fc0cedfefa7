"""The process's own machine: devices, memory, signals, terminal."""
