"""Estimators of the loss's curvature that see it through products with vectors."""
