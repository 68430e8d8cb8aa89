#!/usr/bin/env bash
# An exported model.onnx in onnxruntime-web in headless Chromium: bash scripts/check_browser.sh FOLDER/model.onnx
# Fetches onnxruntime-web by npm, unless ONNXRUNTIME_WEB names its folder dist.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
version=1.30.0

if [ -z "${ONNXRUNTIME_WEB:-}" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  (cd "$folder" && npm pack --silent "onnxruntime-web@$version" > /dev/null && tar xzf onnxruntime-web-*.tgz)
  ONNXRUNTIME_WEB="$folder/package/dist"
fi
PYTHONPATH="$here" "${PYTHON:-$here/.venv/bin/python}" -m scripts.browser --runtime "$ONNXRUNTIME_WEB" "$@"
