"""The steps on Kubeflow Pipelines: components, the code they carry, and kfp's local runner."""
