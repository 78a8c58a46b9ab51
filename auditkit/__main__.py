"""python -m auditkit: the same program."""

from auditkit.cli import main

main()
