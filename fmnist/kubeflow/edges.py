"""What the tasks of a compiled pipeline take from each other, also into and out of its loops, conditions and parts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fmnist.steps.errors import ContractError

__all__ = ["ITEMS", "edges"]

#: What to do where kfp forgets where the items of a loop come from.
ITEMS = (
    " kfp looks outside of a loop for its items where they are taken apart, as in item.a, below a condition or within "
    "a text: give the whole item to the task."
)
_BRANCHES = (
    " kfp forgets that of branches which a loop goes over: give dsl.OneOf to a task, and loop over what that returns."
)

#: By the kind and the name of an input the outputs that it comes from: of each the path of the task, and the name.
_Sources = dict[tuple[str, str], set[tuple[str, str]]]


def edges(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Give the producer, the name of its output, and the consumer, for each artifact or value that is passed on.

    Both are tasks that run something, by their paths; what a condition asks for is taken by the condition.

    Raises
    ------
    ContractError
        If a part of the pipeline does not give what is taken of it, or does not get it itself.
    """
    yield from _Part(spec, spec["root"], "").edges({})


@dataclass(frozen=True)
class _Part:
    """The pipeline, a part of it, or a task, with what is before the names of the tasks in it."""

    spec: Mapping[str, Any]
    component: Mapping[str, Any]
    above: str

    @property
    def tasks(self) -> Mapping[str, Mapping[str, Any]]:
        """The tasks in it, by name; one that runs something has none."""
        tasks: Mapping[str, Mapping[str, Any]] = self.component.get("dag", {}).get("tasks", {})
        return tasks

    def part(self, name: str) -> "_Part":
        """Return what the task of this name is."""
        component = self.spec["components"][self.tasks[name]["componentRef"]["name"]]
        return _Part(self.spec, component, f"{self.above}{name}/")

    def edges(self, given: _Sources) -> Iterator[tuple[str, str, str]]:
        """Give the edges that end here; `given` has the sources of its inputs."""
        for name, task in self.tasks.items():
            part = self.part(name)
            sources = {
                (kind, key): self._sources(given, name, kind, source)
                for kind in ("Artifact", "Parameter")
                for key, source in task.get("inputs", {}).get(f"{kind.lower()}s", {}).items()
            }
            condition = task.get("triggerPolicy", {}).get("condition", "")
            for (_, key), origins in sources.items():
                if not part.tasks or f"['{key}']" in condition:
                    yield from ((*origin, f"{self.above}{name}") for origin in origins)
            for kind in ("Artifact", "Parameter"):
                if iterator := task.get(f"{kind.lower()}Iterator"):
                    listed = kind, iterator["items"].get(f"input{kind}", "")
                    sources[kind, iterator["itemInput"]] = sources.get(listed, set())
            yield from part.edges(sources)

    def _sources(self, given: _Sources, task: str, kind: str, source: Mapping[str, Any]) -> set[tuple[str, str]]:
        """Return the outputs that an input of a `task` in it comes from."""
        if output := source.get(f"taskOutput{kind}"):
            if (producer := output["producerTask"]) not in self.tasks:
                raise ContractError(
                    f"compiled pipeline: expected a task {self.above}{producer}, of which {self.above}{task} takes an "
                    "output, got none."
                )
            return self.part(producer).made(kind, output[f"output{kind}Key"])
        key = source.get(f"componentInput{kind}", "")
        if key and key not in self.component.get("inputDefinitions", {}).get(f"{kind.lower()}s", {}):
            raise ContractError(
                f"compiled pipeline: expected an input {key} of {self.above.removesuffix('/') or 'the pipeline'}, "
                f"which {self.above}{task} takes, got none.{ITEMS}"
            )
        return given.get((kind, key), set())

    def made(self, kind: str, key: str) -> set[tuple[str, str]]:
        """Return its output `key` or, where it hands on what tasks in it make, theirs."""
        path, kinds = self.above.removesuffix("/"), f"{kind.lower()}s"
        made = self.component["dag"].get("outputs", {}) if self.tasks else self.component.get("outputDefinitions", {})
        if not (output := made.get(kinds, {}).get(key)):
            advice = ITEMS if "loop-item" in key else _BRANCHES
            raise ContractError(
                f"compiled pipeline: expected an output {key} of {path}, which another task takes, got none.{advice}"
            )
        if not self.tasks:
            return {(path, key)}
        one = output.get("valueFromParameter")
        chosen = [one] if one else output.get("artifactSelectors") or output["valueFromOneof"]["parameterSelectors"]
        found = (self.part(one["producerSubtask"]).made(kind, one[f"output{kind}Key"]) for one in chosen)
        return set().union(*found)
