"""What a signed calibration states, beside what every signed folder does."""

from __future__ import annotations

from auditkit.bundle.statement import Files, Kind, field, parsed
from auditkit.calibration.table import TABLE
from auditkit.calibration.zoo import ZOO
from auditkit.canonical import sha256
from auditkit.model import Json

PDF, HTML = "calibration.pdf", "calibration.html"


def _calibrated(files: Files) -> dict[str, Json]:
    zoo, table = parsed(files, ZOO), parsed(files, TABLE)
    return {
        "plan_sha256": field(zoo, "sha256", ZOO),
        "calibration_sha256": sha256(files[TABLE]),
        "organisms": {
            o["name"]: {"label": o["label"], "digest": o["digest"]} for o in zoo["organisms"]
        },
        "detected": {
            row["check"]: {
                label: f"{row[key]['detected']} of {sum(row[key].values())}"
                for label, key in (("positive", "positives"), ("negative", "negatives"))
            }
            for row in table["checks"]
        },
    }


CALIBRATION = Kind(
    predicate_type="https://auditkit.dev/attestation/calibration/v1",
    schema="calibration_statement",
    data=TABLE,
    data_digest="calibration_sha256",
    pdf=PDF,
    borne_out=_calibrated,
)
