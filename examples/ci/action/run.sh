#!/usr/bin/env bash
# Runs `skep ci` for the action: prints its progress, annotations and a summary, and sets the outputs.
#
# Reads SKEP, SKEP_FILE, SKEP_STEPS, SKEP_JOBS, SKEP_SALT and SKEP_OUT; writes GITHUB_OUTPUT and
# GITHUB_STEP_SUMMARY.
set -euo pipefail

flags=()
[ -z "${SKEP_FILE:-}" ] || flags+=(--file "$SKEP_FILE")
[ -z "${SKEP_SALT:-}" ] || flags+=(--salt "$SKEP_SALT")
run=(--annotations)
[ -z "${SKEP_JOBS:-}" ] || run+=(--jobs "$SKEP_JOBS")
[ -z "${SKEP_OUT:-}" ] || run+=(--out "$SKEP_OUT")
if [ -n "${SKEP_STEPS:-}" ]; then
  # Names are split at spaces, and never expanded to files.
  read -r -a steps <<<"$SKEP_STEPS"
  for step in "${steps[@]}"; do
    run+=(--step "$step")
  done
fi

report="$(mktemp)"
trap 'rm -f "$report"' EXIT
code=0
"${SKEP:-skep}" ci run "${flags[@]}" "${run[@]}" --summary "$report" || code=$?

if [ -s "$report" ]; then
  head -n 1 "$report" | sed 's/^<!-- \(.*\) -->$/\1/' | tr ' ' '\n' >>"${GITHUB_OUTPUT:-/dev/null}"
  tail -n +2 "$report" >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
fi
exit "$code"
