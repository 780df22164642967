"""What is called on kfp's local runner installs nothing into the environment of whoever calls it."""

from typing import Any

from kfp.dsl import pipeline_context
from kfp.dsl.base_component import BaseComponent
from kfp.local.config import LocalExecutionConfig

from fmnist.steps.errors import ContractError

__all__ = ["not_here"]


class _NotHere(BaseComponent):  # type: ignore[misc]  # kfp ships no types
    """A component or a pipeline of kfp, which is refused where its steps would install packages into this Python."""

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        building = pipeline_context.Pipeline.get_default_pipeline() is not None
        runner = getattr(LocalExecutionConfig.instance, "runner", None)
        installs = "pip install" in str(self.pipeline_spec.deployment_spec)
        if installs and not building and getattr(runner, "use_venv", None) is False:
            raise ContractError(
                f"{self.name}: expected a runner with an environment of its own, got "
                "SubprocessRunner(use_venv=False), with which its steps would install their packages into the "
                "environment of this Python. Nothing was run. Call fmnist.run() or fmnist.study(), which install "
                "nothing, or use SubprocessRunner(use_venv=True)."
            )
        return super().__call__(*args, **arguments)


def not_here(component: Any) -> Any:
    """Make a component or a pipeline refuse to install packages into this environment, and return it.

    Compiled, sent by kfp's client, or used in another pipeline, it is what it was.
    """
    kind = type(component)
    component.__class__ = type(kind.__name__, (_NotHere, kind), {})
    return component
