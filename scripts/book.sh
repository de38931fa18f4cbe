#!/usr/bin/env bash
# book.sh: builds the guide in docs/guide with mdBook.
set -euo pipefail
# shellcheck source=scripts/env.sh
source "$(dirname "$0")/env.sh"

"$(cargo_program_path mdbook)" build docs/guide --dest-dir "$CARGO_TARGET_DIR/guide"
say "the guide is in $CARGO_TARGET_DIR/guide/index.html"
