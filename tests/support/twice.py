"""Run tests twice in this process, in another order: nothing that one leaves behind may change another."""

import sys

import pytest

#: Of the optimizers, whose training takes seconds each, one is enough here.
ARGUMENTS = ["-q", "-k", "not (tracks or after_another) or adam]", *sys.argv[1:]]

if __name__ == "__main__":
    sys.exit(pytest.main(ARGUMENTS) or pytest.main(ARGUMENTS))
