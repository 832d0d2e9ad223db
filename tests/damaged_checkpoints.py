"""Checkpoint files with one fault each, drawn from a seed, and what becomes of reading them.

Some damage is to bytes; some leaves a proper file of torch.save whose contents are at fault; some of it would run code
if anything in the file were run. The code writes a file: if that is there, something was.
"""

from __future__ import annotations

import copy
import io
import random
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from damaged_bytes import blank, cut, flip, repeat
from published_checkpoints import network, v2_value, v3_value

from shotsmith.compat.checkpoints.convert import convert, read_policy
from shotsmith.errors import InputError

LIMIT_SECONDS = 2.0
KINDS = ("v2", "v3", "v2format", "native")
STRANGE: tuple[Any, ...] = (
    *(None, True, "text", "", b"bytes", -1, 0.5, float("nan"), float("inf"), 10**30, [], {}, [[]], {"a": 1}),
    *(torch.zeros(2), torch.zeros(0), torch.zeros(2, dtype=torch.int64), torch.zeros(1).expand(10**6, 10**6)),
)


@dataclass
class Outcome:
    """What became of the variants of one kind of file."""

    errors: int = 0
    read: int = 0
    """Variants that can be used nevertheless."""
    changed: int = 0
    """Of these, those with other weights though the bytes were damaged: there must be none."""
    slowest: float = 0.0
    """Seconds of the processor."""
    code_run: int = 0
    unexplained: list[str] = field(default_factory=list)
    """Errors that do not name the file."""


def fuzz(kind: str, seeds: Iterable[int], folder: Path) -> Outcome:
    """Read a damaged variant for every seed. Anything but a policy or an InputError is raised."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = write_whole(kind, folder)
    weights = read_policy(whole)[0].state_dict()
    outcome, marker = Outcome(), folder / "code-was-run"
    for seed in seeds:
        rng = random.Random(f"{kind} {seed}")
        variant, only_bytes = damage(whole, rng, marker)
        started = time.process_time()
        try:
            found = read_policy(variant)[0].state_dict()
        except InputError as error:
            outcome.errors += 1
            if str(variant) not in str(error):
                outcome.unexplained.append(f"{kind}, seed {seed}: {error}")
        else:
            outcome.read += 1
            same = found.keys() == weights.keys() and all(torch.equal(found[n], weights[n]) for n in weights)
            outcome.changed += only_bytes and not same
        outcome.slowest = max(outcome.slowest, time.process_time() - started)
        outcome.code_run += marker.exists()
        marker.unlink(missing_ok=True)
    return outcome


def write_whole(kind: str, folder: Path) -> Path:
    """An undamaged checkpoint."""
    weights = network(layers=2).state_dict()
    file = folder / "whole.pt"
    if kind == "v2":
        torch.save(v2_value(weights), file)
        return file
    torch.save(v3_value(weights), file)
    if kind == "v3":
        return file
    target = folder / ("whole_v2format.ckpt" if kind == "v2format" else "whole")
    convert(file, target, "v2format" if kind == "v2format" else "native")
    return target


def damage(whole: Path, rng: random.Random, marker: Path) -> tuple[Path, bool]:
    """A damaged copy of a checkpoint, and whether only bytes were damaged, so that its contents cannot be others."""
    if whole.is_dir():
        return _damaged_folder(whole, rng), True
    variant = whole.with_name("variant.ckpt")
    data = whole.read_bytes()
    how = rng.choice(("bytes", "value", "pickle", "code", "records"))
    if how == "bytes":
        variant.write_bytes(rng.choice(_BYTES)(data, rng))
    elif how == "value":
        torch.save(_changed_value(torch.load(whole, weights_only=True), rng), variant)
    elif how == "pickle":
        variant.write_bytes(_with_pickle(data, _changed_pickle(_pickle_of(data), rng)))
    elif how == "code":
        variant.write_bytes(_with_code(data, rng, marker))
    else:
        variant.write_bytes(_changed_records(data, rng))
    return variant, how == "bytes"


def _damaged_folder(whole: Path, rng: random.Random) -> Path:
    variant = whole.with_name("variant")
    variant.mkdir(exist_ok=True)
    hit = rng.choice(("policy.safetensors", "manifest.json"))
    for file in whole.iterdir():
        data = file.read_bytes()
        (variant / file.name).write_bytes(rng.choice(_BYTES)(data, rng) if file.name == hit else data)
    return variant


def _not_a_zip(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"PK", b"\x80\x02cos\nsystem\n.", b"{}", b"\xff\xfe" * 9, zlib.compress(data[:500]))) * 3


def _end_record(data: bytes, rng: random.Random) -> bytes:
    """Numbers of the zip's last record, which says where everything else is."""
    place = data.rfind(b"PK\x05\x06")
    if place < 0:
        return flip(data, rng)
    changed = bytearray(data)
    struct.pack_into("<I", changed, place + rng.choice((8, 10, 12, 16)), rng.choice((0, 1, 0xFFFF, 0xFFFFFFFF)))
    return bytes(changed)


_BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (cut, flip, repeat, blank, _not_a_zip, _end_record)


def _changed_value(value: dict[str, Any], rng: random.Random) -> Any:
    """One field, or one weight, is missing, misnamed, of another type, of another shape, or not finite."""
    value = copy.deepcopy(value)
    place = value
    if rng.random() < 0.7:
        place = value["model_state_dict" if "model_state_dict" in value else "state_dict"]
    name = rng.choice(sorted(place))
    old = place.pop(name)
    how = rng.choice(("gone", "renamed", "strange", "shape", "poisoned", "whole"))
    if how == "renamed":
        place[rng.choice((name + "x", name[:-1], "", 7, (1, 2), name.upper()))] = old
    elif how == "strange":
        place[name] = rng.choice(STRANGE)
    elif how == "shape" and isinstance(old, torch.Tensor):
        place[name] = rng.choice((old[:-1], old[None], old.flatten(), torch.cat([old, old]), old[..., :0]))
    elif how == "poisoned" and isinstance(old, torch.Tensor):
        old.view(-1)[rng.randrange(old.numel())] = rng.choice((torch.nan, torch.inf, -torch.inf))
        place[name] = old
    elif how == "whole":
        return rng.choice(STRANGE)
    return value


def _pickle_of(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))


def _with_pickle(data: bytes, pickle: bytes) -> bytes:
    """The same archive, sums and all, with another pickle."""
    return _rewritten(data, lambda name, record: pickle if name.endswith("/data.pkl") else record)


def _rewritten(data: bytes, change: Callable[[str, bytes], bytes | None], compression: int = 0) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(written, "w", compression) as copied:
        for member in archive.infolist():
            record = change(member.filename, archive.read(member))
            if record is not None:
                copied.writestr(member.filename, record)
    return written.getvalue()


def _changed_pickle(pickle: bytes, rng: random.Random) -> bytes:
    changed = bytearray(pickle)
    for _ in range(rng.choice((1, 1, 2, 5, 30))):
        place = rng.randrange(len(changed))
        how = rng.randrange(4)
        if how == 0:
            changed[place] = rng.randrange(256)
        elif how == 1:
            del changed[place : place + rng.randrange(1, 9)]
        elif how == 2:
            changed[place:place] = bytes(rng.choice(b"(.RbQhqKMJ\x8a\x8bX}]tl0") for _ in range(rng.randrange(1, 9)))
        else:
            changed[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\xff" * 4, bytes(4), b"\x00\x00\x00\x10"))
    return bytes(changed) or b"."


def _with_code(data: bytes, rng: random.Random, marker: Path) -> bytes:
    """A pickle that writes `marker`, or makes something huge, if it is let."""
    command = f"open({str(marker)!r}, 'w')".encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    codes = (
        b"\x80\x02cbuiltins\neval\n" + text + b"\x85R.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93" + text + b"\x85R.",
        b"(" + text + b"ibuiltins\neval\n.",
        b"\x80\x02cposix\nsystem\nX"
        + struct.pack("<I", len(b"touch " + str(marker).encode()))
        + b"touch "
        + str(marker).encode()
        + b"\x85R.",
        b"\x80\x02}X\x01\x00\x00\x00ecbuiltins\neval\n" + text + b"\x85Rs.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + b"cbuiltins\neval\n" + text + b"\x85RtR.",
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x10\x85R.",
        b"\x80\x02ccollections\nCounter\n" + text + b"\x85R.",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02" + b"]" + b"]a" * 100_000 + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02I" + b"9" * 100_000 + b"\n.",
    )
    chosen = rng.choice(codes)
    whole = _pickle_of(data)
    return _with_pickle(data, chosen if rng.random() < 0.6 else whole[:-1] + chosen[2:])


def _changed_records(data: bytes, rng: random.Random) -> bytes:
    """Records that are missing, cut, longer, compressed, or called otherwise; the zip itself is in order."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        hit = rng.choice(archive.namelist())
    how = rng.choice(("gone", "cut", "longer", "compressed", "other"))
    if how == "compressed":
        return _rewritten(data, lambda _name, record: record, zipfile.ZIP_DEFLATED)
    changes: dict[str, Callable[[bytes], bytes | None]] = {
        "gone": lambda _record: None,
        "cut": lambda record: record[: rng.randrange(len(record) + 1)],
        "longer": lambda record: record + bytes(rng.randrange(1, 999)),
        "other": lambda record: bytes(rng.randrange(256) for _ in record[:5000]),
    }
    return _rewritten(data, lambda name, record: changes[how](record) if name == hit else record)
