import sys

from sgdmft.cli import main

sys.exit(main())
