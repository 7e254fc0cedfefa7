"""Times that are known to an interval, or only to be later: curves, means, tests, and laws for them."""

from .estimate import survival
from .events import event_times
from .scaling import scaling

__all__ = ["event_times", "scaling", "survival"]
