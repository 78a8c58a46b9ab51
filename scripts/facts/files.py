"""The data file, and the page that says where it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from facts.draft import SCHEMA, Topic
from facts.packages import DATA, licence, pinned
from facts.spelling import slug
from facts.world import World


def facts_file(topics: Sequence[Topic]) -> bytes:
    """Return the data file: a fact a line, then a topic a line."""
    facts = [line(row) for topic in topics for row in rows(topic)]
    said = [line({"id": topic.id, "n": len(topic.facts)} | topic.said) for topic in topics]
    text = (
        '{\n"facts": [\n'
        + ",\n".join(facts)
        + '\n],\n"packages": '
        + line(pinned())
        + ',\n"schema": '
        + line(SCHEMA)
        + ',\n"topics": [\n'
        + ",\n".join(said)
        + "\n]\n}\n"
    )
    return text.encode()


def rows(topic: Topic) -> Iterator[dict[str, object]]:
    """Yield a topic's facts as they stand in the file."""
    for rank, fact in enumerate(topic.facts, start=1):
        yield {
            "id": f"{topic.id}/{slug(fact.subject)}",
            "topic": topic.id,
            "subject": fact.subject,
            "object": fact.answer,
            "distractors": fact.distractors,
            "prominence": rank,
        }


def line(value: object) -> str:
    """Return the value as one line of JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def provenance_file(world: World, topics: Sequence[Topic], facts: bytes) -> bytes:
    """Return the page beside the data file, with tables of the topics and of what they leave out."""
    n = sum(len(topic.facts) for topic in topics)
    text = (DATA / "provenance.md").read_text(encoding="utf-8")
    said = text.format(
        schema=SCHEMA,
        n=n,
        topics=len(topics),
        statements=4 * n,
        digest=hashlib.sha256(facts).hexdigest(),
        pins=" ".join(f"{package}=={version}" for package, version in pinned().items()),
        table="\n".join(topic_row(topic) for topic in topics),
        exclusions="\n".join(f"| {' | '.join(row)} |" for row in exclusions(world, topics)),
        us_licence=licence("us", "LICENSE"),
        cldr_licence=licence("Babel", "LICENSE.unicode"),
    )
    return said.encode()


def topic_row(topic: Topic) -> str:
    """Return a topic's row in the table of topics."""
    source = topic.said["source"]
    upstream, package, version = source["upstream"], source["package"], source["version"]
    if source["url"] == "none":
        package = version = "–"
    else:
        upstream = f"[{upstream}]({source['url'].split()[0]})"
    cells = (
        f"`{topic.id}` – {topic.said['title']}",
        str(len(topic.facts)),
        package,
        version,
        upstream,
        source["licence"],
    )
    return f"| {' | '.join(cells)} |"


def exclusions(world: World, topics: Sequence[Topic]) -> Iterator[tuple[str, str, str]]:
    """Yield what is left out on purpose, as (where, what, why)."""
    lists = [("every topic about countries", world.left_out, world.raw)]
    for topic in topics:
        names = world.states if topic.id == "us-capital" else world.raw
        lists.append((f"`{topic.id}`", topic.left_out, names))
    for where, left_out, names in lists:
        for what, why in left_out.items():
            yield where, str(names[what]["name"]) if what in names else what, why
