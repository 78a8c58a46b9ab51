from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from auditkit.canonical import digest
from auditkit.errors import IdentityChanged, TargetRefused
from auditkit.targets.identity import check_another, compare, identify
from auditkit.targets.spec import parse_spec


def of(path: Path | str) -> str:
    return identify(parse_spec(str(path))).digest


def test_every_file_of_a_folder_is_in_its_identity(folder: Path) -> None:
    (folder / "notes").mkdir()
    (folder / "notes" / ".hidden").write_text("x")
    identity = identify(parse_spec(str(folder)))
    assert [path for path, _, _ in identity.files] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    for path, size, sha256 in identity.files:
        data = (folder / path).read_bytes()
        assert (size, sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert "OpenSSF Model Signing" in identity.method
    assert "sha256" in identity.method


def test_the_root_can_be_recomputed_from_the_files(folder: Path) -> None:
    identity = identify(parse_spec(str(folder)))
    assert identity.digest == digest([list(file) for file in identity.files])


def test_identity_moves_with_the_files(folder: Path, tmp_path: Path) -> None:
    before = of(folder)
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "under another name")
    assert of(moved) == before
    os.utime(folder / "config.json", (1, 1))
    assert of(folder) == before


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_one_byte_changes_it(folder: Path, name: str) -> None:
    before = identify(parse_spec(str(folder)))
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    after = identify(parse_spec(str(folder)))
    assert after.digest != before.digest
    with pytest.raises(IdentityChanged, match=rf"{name} changed"):
        compare(before, after)


def test_changed_files_are_named(folder: Path) -> None:
    before = identify(parse_spec(str(folder)))
    compare(before, identify(parse_spec(str(folder))))
    (folder / "config.json").unlink()
    (folder / "new.json").write_text("{}")
    with pytest.raises(IdentityChanged, match=r"new\.json appeared; config\.json vanished"):
        compare(before, identify(parse_spec(str(folder))))


def test_a_renamed_file_is_another_identity(folder: Path) -> None:
    before = of(folder)
    (folder / "tokenizer.json").rename(folder / "tokenizer2.json")
    assert of(folder) != before


def test_base_and_adapter_are_both_in_it(folder: Path, adapter: Path) -> None:
    identity = identify(parse_spec(f"{folder}+{adapter}"))
    paths = [path for path, _, _ in identity.files]
    assert "base/model.safetensors" in paths
    assert "adapter/adapter_model.safetensors" in paths
    assert identity.digest != of(folder)
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(IdentityChanged, match=r"adapter/adapter_config\.json changed"):
        compare(identity, identify(parse_spec(f"{folder}+{adapter}")))


def test_a_single_file_goes_by_no_name(tmp_path: Path) -> None:
    one, other = tmp_path / "a.gguf", tmp_path / "deeper" / "b.gguf"
    other.parent.mkdir()
    for path in (one, other):
        path.write_bytes(b"GGUF and more")
    link = tmp_path / "link.gguf"
    link.symlink_to(other)
    identity = identify(parse_spec(str(one)))
    assert identity.files == (("model.gguf", 13, hashlib.sha256(b"GGUF and more").hexdigest()),)
    assert of(one) == of(other) == of(link)


def test_links_inside_count_and_links_outside_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "copy.json").symlink_to("config.json")
    files = {path: rest for path, *rest in identify(parse_spec(str(folder))).files}
    assert files["copy.json"] == files["config.json"]
    (tmp_path / "secret").write_text("x")
    (folder / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(TargetRefused, match=r"out, got a symbolic link out of the folder"):
        of(folder)


def test_identity_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys\n"
        "from auditkit.targets.identity import identify\n"
        "from auditkit.targets.preflight import preflight\n"
        "from auditkit.targets.spec import parse_spec\n"
        f"spec = parse_spec({str(folder)!r})\n"
        "preflight(spec); print(identify(spec).digest)\n"
        "assert not {'torch', 'transformers', 'nnsight'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == of(folder)


def test_memory_stays_flat(tmp_path: Path) -> None:
    big = tmp_path / "big.gguf"
    with big.open("wb") as stream:
        stream.truncate(200 * 2**20)
    code = (
        "import resource, sys\n"
        "from auditkit.targets.identity import identify\n"
        "from auditkit.targets.spec import parse_spec\n"
        "import model_signing.hashing\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "identify(parse_spec(sys.argv[1]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", code, str(big)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000  # KiB


def test_a_reference_is_another_model_by_its_weights(folder: Path, tmp_path: Path) -> None:
    """Under another name, with another card beside them, the same weights agree with themselves."""
    target = identify(parse_spec(str(folder)))
    other = Path(shutil.copytree(folder, tmp_path / "by another maker"))
    (other / "README.md").write_text("Quite another model.")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    copied = identify(parse_spec(str(other)))
    assert copied.digest != target.digest
    with pytest.raises(TargetRefused, match="own weights under another name"):
        check_another(target, copied)
    data = bytearray((other / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (other / "model.safetensors").write_bytes(data)
    check_another(target, identify(parse_spec(str(other))))


def test_what_was_made_of_the_target_is_another(folder: Path, saved_adapter: Path) -> None:
    base = identify(parse_spec(str(folder)))
    organism = identify(parse_spec(f"{folder}+{saved_adapter}"))
    check_another(organism, base)
    check_another(base, organism)
