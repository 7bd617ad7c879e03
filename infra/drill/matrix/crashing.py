"""A role that can be told to die at a crash point: python -m infra.drill.matrix.crashing ORDER ROLE …"""

import sys
from pathlib import Path

from infra.cli import main
from infra.drill.matrix.armed import arm
from infra.drill.matrix.points import POINTS

if __name__ == "__main__":
    order = Path(sys.argv.pop(1))
    arm(order, sys.argv[1], POINTS)
    main()
