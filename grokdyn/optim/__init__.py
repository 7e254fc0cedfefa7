"""How parameters move: optax transforms of our own, and descriptions that build them from traced numbers."""
