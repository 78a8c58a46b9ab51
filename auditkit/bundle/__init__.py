"""The folder that is signed: what is in it, what its manifest covers, what its statement says.

plan.json  identity.json  environment.json  report.json
evidence/index.json  evidence/<check>/samples.jsonl  evidence/<check>/<subject>.jsonl
evidence/files/<sha256>  what rows name: logs, for whoever wants to look; nothing is judged by them
manifest.json         size and SHA-256 of every file above
statement.dsse.json   signs the manifest, and says who, when and what came out
report.pdf            signed by the same key; holds statement and report.json as attachments
"""

from auditkit.bundle.contents import (
    Bundle,
    CheckRecord,
    open_bundle,
    parse_bundle,
    write_contents,
    write_json,
)
from auditkit.bundle.manifest import (
    FileEntry,
    Manifest,
    check_files,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from auditkit.bundle.statement import expected_statement, make_statement, verdicts

__all__ = [
    "Bundle",
    "CheckRecord",
    "FileEntry",
    "Manifest",
    "check_files",
    "expected_statement",
    "make_statement",
    "open_bundle",
    "parse_bundle",
    "parse_manifest",
    "read_manifest",
    "verdicts",
    "write_contents",
    "write_json",
    "write_manifest",
]
