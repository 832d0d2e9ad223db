# Sourced by the scripts beside it: `shotsmith` is this checkout's command, run by the python at hand or by .venv's.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

shotsmith() {
    local python
    for python in "$(command -v python)" "$(command -v python3)" "$root/.venv/bin/python"; do
        if [ -x "$python" ] && "$python" -c "$needed" 2>/dev/null; then
            PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -m shotsmith "$@"
        fi
    done
    echo "error: no python here has what Shotsmith needs; 'make setup' in $root makes one" >&2
    exit 1
}

needed='
import sys
from importlib.util import find_spec
sys.exit(sys.version_info < (3, 11) or not all(map(find_spec, ("torch", "transformers", "typer", "pydantic"))))
'
