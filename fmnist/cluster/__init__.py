"""Kubeflow Pipelines on a cluster: this room talks to the server for `same`."""
