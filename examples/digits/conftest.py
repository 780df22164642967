"""Fixtures of the tests: those of fmnist."""

pytest_plugins = ["fmnist.testing"]
