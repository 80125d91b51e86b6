"""`python -m sgdmft.cli`, the same as the command `sgdmft`."""

import sys

from sgdmft.cli import main

if __name__ == "__main__":
    sys.exit(main())
