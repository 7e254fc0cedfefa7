"""``python -m grokdyn`` is the command line."""

import sys

from grokdyn.cli import main

sys.exit(main())
