"""Kubeflow Pipelines on a cluster: what talks to a server for `same`."""
