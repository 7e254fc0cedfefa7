"""The tests. Their matrices are small: threads of numpy's and PyTorch's would wait, busily, for each other."""

import os

for library in ("OPENBLAS", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
