"""Empirical tangent kernels of any model, and what is measured on them."""
