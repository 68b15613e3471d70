"""Start the simulator with `python -m ops.simulator`."""

import sys

from ops.simulator import main

sys.exit(main())
