"""Start the command with `python -m ops.cli`."""

from ops.cli import main

try:
    main()
finally:
    # `python -m` ends by SIGINT, whatever was made of it, if a Ctrl-C came within an `exec`, and that is how dataclasses are
    # made while they are imported. The next `exec` takes that back.
    exec("")  # noqa: S102
