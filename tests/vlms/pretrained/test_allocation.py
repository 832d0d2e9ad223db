import subprocess
import sys

import pytest

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
