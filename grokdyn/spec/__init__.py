"""Descriptions of runs: dataclasses that are pytrees, their rules, their TOML form, sweeps over them."""
