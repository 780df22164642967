"""Run the command line with ``python -m fmnist``."""

from fmnist.cli.fmnist import main

if __name__ == "__main__":
    main()
