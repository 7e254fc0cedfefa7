"""What the optimizer remembers, gone."""

from __future__ import annotations

from dataclasses import replace

from grokdyn.interventions.base import Intervention, Runs


class Forget(Intervention):
    """Let the optimizer begin anew, as at step 0: no moments, its schedule from the start. It may be another kind."""

    forgets = True

    def applied(self, runs: Runs) -> Runs:
        return replace(runs, remembered=False)
