"""``python -m resbench``."""

from resbench.cli.main import main

main()
