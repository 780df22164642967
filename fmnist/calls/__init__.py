"""Runs and studies called from Python: processes of their own, and results that a notebook shows."""
