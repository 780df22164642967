"""Kubeflow Pipelines on a cluster, for `same`, and the files that describe a pipeline and its cache key.

Of these `arguments`, `cache`, `pipeline_file` and `program_file` never talk to a server.
"""
