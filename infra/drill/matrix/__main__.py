"""python -m infra.drill.matrix"""

from infra.drill.matrix.run import main

main()
