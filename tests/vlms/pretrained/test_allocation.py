import subprocess
import sys

import pytest

from shotsmith.vlms.pretrained.allocation import FreedMemory

HELD = """
import sys
from pathlib import Path
from shotsmith.vlms.pretrained.allocation import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
block = bytearray(200 << 20)
del block
pages = int(Path("/proc/self/statm").read_text().split()[1])
sys.stdout.write(f"{kept} {pages * 4096 >> 20}")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_memory_that_is_freed_stays_with_the_process():
    def held(what):
        return subprocess.run(
            [sys.executable, "-c", HELD, what], capture_output=True, text=True, check=True
        ).stdout.split()

    kept, with_it = held("keep")
    _, without = held("leave")
    assert kept == "False" or int(with_it) > int(without) + 150


GROWN = """
import sys
from shotsmith.memory import resident_bytes
from shotsmith.vlms.pretrained.allocation import FreedMemory, keep_freed_memory
keep_freed_memory()
freed = FreedMemory(growth=100 << 20)
block = bytearray(300 << 20)
del block
before = resident_bytes()
given_back = freed.bound()
sys.stdout.write(f"{given_back} {before - resident_bytes() >> 20} {freed.bound()}")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_what_is_kept_is_bounded():
    told = subprocess.run([sys.executable, "-c", GROWN], capture_output=True, text=True, check=True).stdout
    given_back, megabytes, again = told.split()
    assert given_back == "True" and int(megabytes) > 250
    assert again == "False"


def test_nothing_is_given_back_before_the_process_has_grown():
    assert not FreedMemory(growth=1 << 40).bound()
