"""Times that are known to an interval, or only to be later: curves, means, tests, and laws for them."""

from .estimate import survival
from .events import event_times
from .scaling import scaling
from .sizes import sample_sizes

__all__ = ["event_times", "sample_sizes", "scaling", "survival"]
