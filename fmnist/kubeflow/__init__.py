"""The steps as Kubeflow components, the code they carry, and kfp's local runner."""
