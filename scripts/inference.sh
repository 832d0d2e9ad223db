#!/usr/bin/env bash
# inference.sh TASK DATASET GPU PROMPT SAMPLER MODEL VERSION QUERIES [option of `shotsmith predecessor inference` ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/shotsmith.sh"
shotsmith predecessor inference --recipe "$root/recipes/predecessor/scheme5.yaml" "$@"
