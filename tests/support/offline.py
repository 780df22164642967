"""Run a program without a network, where this system allows it: no test may need one.

Root takes the network away as it is; others need a namespace of users for that.
"""

import os
import shutil
import subprocess
import sys


def main() -> None:
    """Become the program that the arguments name; without the means, say so, and fail where FMNIST_STRICT is set."""
    user = [] if os.getuid() == 0 else ["--map-current-user", "--keep-caps"]
    offline = ["unshare", *user, "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    command = sys.argv[1:]
    if shutil.which("unshare") and not subprocess.run([*offline, sys.executable, "-c", ""], check=False).returncode:
        command = [*offline, *command]
    else:
        sys.stderr.write(
            "NOT CHECKED: that no test needs a network, which takes unshare, ip and the right to use them\n"
        )
        if os.environ.get("FMNIST_STRICT"):
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
