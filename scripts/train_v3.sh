#!/usr/bin/env bash
# train_v3.sh TASK DATASET GPU PROMPT SAMPLER MODEL [option of `shotsmith predecessor train` ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/shotsmith.sh"
shotsmith predecessor train --recipe "$root/recipes/predecessor/scheme5.yaml" "$@"
