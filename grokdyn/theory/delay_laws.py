"""Published laws of the delay between fitting and generalising, as exponents of powers; they do not agree."""

NORM = "norm separation (2603.13331)"
CRITICAL = "critical decay (2605.20441)"
POWERS = "FoGen (openreview Qh29Wjs8oo)"
# By axis: who gives which exponent. That of CRITICAL is of the decay less a critical one.
PUBLISHED = {
    "learning_rate": {NORM: -1.0, POWERS: -0.50},
    "weight_decay": {NORM: -1.0, CRITICAL: -0.757, POWERS: -0.64},
    "train_fraction": {POWERS: -2.04},
    "width": {POWERS: -0.27},
}
