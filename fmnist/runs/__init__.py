"""Runs and studies: what fills folders of results."""
