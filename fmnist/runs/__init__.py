"""Runs and studies: they fill folders of results."""
