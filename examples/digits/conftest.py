pytest_plugins = ["fmnist.testing"]  # noqa: D100 - there is no more to say
