"""All that runs inside a step, and what all rooms share (files, messages, secrets, errors): ordinary functions."""
