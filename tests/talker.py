"""A made-up agent: it is logged in by a file that it renews, and keeps its conversation in another. An adapter and a
program, for tests of what lives on; nothing of it is known to cronward but what the adapter says."""

from __future__ import annotations

from pathlib import Path

ADAPTER = """
title = "Talker"
argv = [["--resume", "{session}"]]
network = "none"

[program]
find = "talker"

[login]
argv = ["login"]
files = [".talker/login.json"]
variables = ["TALKER_TOKEN", "TALKER_API_KEY"]
words = "A login lasts until it is renewed."

[conversation]
files = [".talker/talks/*.jsonl"]
max_bytes = "1MiB"

[files]
".talker/settings.json" = '{"mode": "quiet"}'

[reading]
format = "json"
answer = [{ pointer = "/answer" }]
conversation = [{ pointer = "/id" }]
input_tokens = [{ pointer = "/in_all" }]
cumulative = ["tokens"]
blame = [{ reason = "auth_failed", words = "not logged in" }]
"""

# What it is asked for is in the prompt, one word a line: `renew`, `fail`, `huge`, `wait`; anything else is only said.
PROGRAM = """#!/usr/bin/python3
import json, os, sys, time
from pathlib import Path

place = Path.home() / ".talker"
login, talks = place / "login.json", place / "talks"
if sys.argv[1:] == ["login"]:
    place.mkdir(exist_ok=True)
    login.write_text(json.dumps({"token": "token-of-generation-1", "generation": 1}))
    (place / "cache").write_text("not a login")
    sys.exit(int(os.environ.get("LC_FAIL", "0")))
words = sys.stdin.read().split()
try:
    found = json.loads(login.read_text())
except FileNotFoundError:
    found = {"token": os.environ.get("TALKER_TOKEN", ""), "generation": 0}
if not found["token"]:
    sys.exit("not logged in")
if "renew" in words:
    number = found["generation"] + 1
    (place / "new").write_text(json.dumps({"token": f"token-of-generation-{number}", "generation": number}))
    os.replace(place / "new", login)
talks.mkdir(parents=True, exist_ok=True)
known = sys.argv[2] if sys.argv[1:2] == ["--resume"] else os.urandom(4).hex()
talk = talks / f"{known}.jsonl"
if sys.argv[1:2] == ["--resume"] and not talk.exists():
    sys.exit("unknown conversation")
with talk.open("a") as file:
    file.write(json.dumps(words) + "\\n")
    if "huge" in words:
        file.write("x" * (2 << 20))
while "wait" in words and not (Path.cwd() / "go").exists():
    time.sleep(0.02)
said = [word for line in talk.read_text().splitlines() if line[0] == "[" for word in json.loads(line)]
settings = (place / "settings.json").read_text()
facts = {"said": said, "generation": found["generation"], "token": found["token"], "settings": settings}
if "fail" not in words:
    print(json.dumps({"answer": json.dumps(facts), "id": known, "in_all": len(said)}))
sys.exit(3 if "fail" in words else 0)
"""


def install(folder: Path) -> dict[str, str]:
    """Below `folder`, which everybody may enter; the environment of a supervisor, or a command, that knows it."""
    agents, programs = folder / "agents", folder / "programs"
    for place in (agents, programs):
        place.mkdir(mode=0o755)
        place.chmod(0o755)
    (agents / "talker.toml").write_text(ADAPTER)
    program = programs / "talker"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return {"CRONWARD_AGENTS_DIR": str(agents), "PATH": f"{programs}:/usr/bin:/bin"}
