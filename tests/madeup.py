"""An agent that nobody has heard of: a program of a few lines that speaks lines of JSON of its own, and its adapter."""

from __future__ import annotations

from pathlib import Path

NAME = "parrot"
# It says what it was told and with what, writes a file by a "tool", and fails where it is asked to.
SCRIPT = """#!/bin/sh
[ "$1" = --version ] && echo "parrot 1.2.3 (green)" && exit 0
model= schema=
while [ $# -gt 0 ]; do
  case "$1" in --model) model=$2; shift ;; --schema-at) schema=$2; shift ;; esac
  shift
done
prompt=$(cat)
echo "{\\"ev\\": \\"begin\\", \\"model\\": \\"$model\\", \\"talk\\": \\"talk-7\\"}"
case "$prompt" in
  *molt*) echo '{"ev": "end", "trouble": "the cage is closed, come back in 90 s"}'; exit 0 ;;
  *fly*) echo '{"ev": "said", "words": "away"}'; exit 0 ;;
esac
echo '{"ev": "ran", "line": "echo feather > feather", "as": "beak"}'
echo feather > feather
if [ -n "$schema" ]; then words='{\\"seeds\\": 3}'; else words="$PARROT_MOOD parrot: $(cat "$HOME/.parrot/perch")"; fi
echo "{\\"ev\\": \\"said\\", \\"words\\": \\"$(printf %s "$words" | sed 's/"/\\\\"/g')\\"}"
echo '{"ev": "end", "used": {"in": 70, "out": 3}, "usd": 0.25}'
"""
ADAPTER = """
title = "a parrot"
argv = ["--json", ["--model", "{model}"], ["--schema-at", "{schema_file}"], ["--go-on", "{session}"]]
structured = "flag"
prices = true
network = "none"
[program]
find = "parrot"
install = "fetch-a-parrot"
[env]
PARROT_MOOD = "cheerful"
PARROT_AT = "{base_url}"
[files]
".parrot/perch" = "on {model}"
[defaults]
model = "no model"
[reading]
format = "jsonl"
answer = [{ pointer = "/words", where = { "/ev" = "said" } }]
done = [{ pointer = "/ev", where = { "/ev" = "end" } }]
failed = [{ pointer = "/trouble", where = { "/ev" = "end" } }]
error = [{ pointer = "/trouble", where = { "/ev" = "end" } }]
blame = [{ reason = "quota_wait", words = "cage is closed" }]
input_tokens = [{ pointer = "/used/in", where = { "/ev" = "end" } }]
output_tokens = [{ pointer = "/used/out", where = { "/ev" = "end" } }]
cost_usd = [{ pointer = "/usd", where = { "/ev" = "end" } }]
model = [{ pointer = "/model", where = { "/ev" = "begin" } }]
conversation = [{ pointer = "/talk", where = { "/ev" = "begin" } }]
events = [
  { kind = "text", where = { "/ev" = "said" }, text = "/words" },
  { kind = "tool_call", where = { "/ev" = "ran" }, name = "/as", command = "/line" },
]
"""


def programs(folder: Path) -> Path:
    """A directory with the program in it."""
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / NAME).write_text(SCRIPT)
    (folder / NAME).chmod(0o755)
    return folder


def adapters(folder: Path, text: str = ADAPTER, name: str = NAME) -> Path:
    """A directory with the adapter in it."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    return folder
