"""The tests. Their matrices are small: threads of numpy's would only wait for each other and for the other worker's."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
