# shellcheck shell=bash
# lib.sh: what the scripts share. Sourced by each of them, right after `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root" || exit
# The environment of scripts/setup comes first: its console scripts, and node where it brought its own.
[[ $PATH == "$root/.venv/bin:"* ]] || export PATH="$root/.venv/bin:$PATH"
unset VIRTUAL_ENV PYTHONHOME
# Container images often set this; without bytecode every command would compile its imports again, which takes longer
# than they do.
unset PYTHONDONTWRITEBYTECODE
mkdir -p .cache

die() {
  printf '%s\n' "$@" >&2
  exit 1
}

# usage SCRIPT: the comment at the top of a script is its help.
usage() {
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$1"
}

# fingerprint FILE…: one line that changes when a file does, or when the checkout moves (a venv cannot be moved).
fingerprint() {
  printf '%s ' "$root"
  git hash-object "$@" | tr '\n' ' '
}

# step LABEL LOG COMMAND…: runs a command with its output in a log, prints one line, shows the log's end on failure.
step() {
  local label=$1 log=$2 start=$SECONDS
  shift 2
  printf '%s… ' "$label"
  if "$@" >"$log" 2>&1 </dev/null; then
    printf 'done (%s s)\n' $((SECONDS - start))
  else
    printf 'FAILED\n' >&2
    tail -n 20 "$log" | cut -c 1-200 | sed 's/^/    /' >&2
    return 1
  fi
}
