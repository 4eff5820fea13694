"""The embedded agent: answers one prompt with a small model on the CPU, offline, and ends.

A program of its own, run inside the cell as `python -I -S local.py --model FILE.gguf --site DIR`; nothing imports it.
The prompt comes on stdin. The answer goes to stdout, exit code 0; anything else is one sentence on stderr, exit code
1, or 78 where no further attempt would end otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import xllamacpp

CONTEXT_TOKENS = 2048
# Far above what the context can hold; they only bound the reads.
MAX_PROMPT_BYTES = 1 << 20
MAX_SCHEMA_BYTES = 1 << 18
# Of the wordings tried on this model, the one that got most short questions right.
SYSTEM_PROMPT = "You are a helpful assistant. Answer briefly and plainly."
# The engine's x86 wheel is built for these and dies of SIGILL, without a word, where one is missing.
CPU_FLAGS = {"avx2", "fma", "f16c"}

# The engine must never be freed: its destructor joins a thread that, when the only request was refused at once, has not
# entered its loop yet and then never leaves it (seen in 3 of 56 refusals).
KEPT: list[xllamacpp.Server] = []


UNABLE = 78
"""The exit code where no further attempt would end otherwise (EX_CONFIG); its adapter says what that means."""


class LocalError(Exception):
    """Why there is no answer: a sentence for the owner."""

    code = 1


class UnableError(LocalError):
    """What stays so until the owner does something: engine, weights or CPU."""

    code = UNABLE


def missing_cpu_flags(cpuinfo: str, machine: str) -> list[str]:
    """What the engine needs and this CPU lacks, by the text of /proc/cpuinfo; nothing where it names no flags."""
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), None)
    return sorted(CPU_FLAGS.difference(flags)) if flags and machine == "x86_64" else []


def check_cpu() -> None:
    missing = missing_cpu_flags(Path("/proc/cpuinfo").read_text(errors="replace"), os.uname().machine)
    if missing:
        raise UnableError(
            f"This CPU lacks {', '.join(missing)}, which the embedded engine needs: choose another agent."
        )


def read_prompt() -> str:
    raw = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1)
    if len(raw) > MAX_PROMPT_BYTES:
        raise LocalError(
            f"The prompt is too long: over {MAX_PROMPT_BYTES} bytes; the context holds {CONTEXT_TOKENS} tokens."
        )
    try:
        prompt = raw.decode()
    except UnicodeDecodeError as error:
        raise LocalError(f"The prompt is not UTF-8: byte {error.start} is wrong.") from error
    if not prompt.strip():
        raise LocalError("The prompt is empty.")
    return prompt


def read_schema(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_SCHEMA_BYTES + 1)
        schema = json.loads(text) if len(text) <= MAX_SCHEMA_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise LocalError(f"The schema {path} cannot be read: {error}.") from error
    if not isinstance(schema, dict):
        raise LocalError(f"The schema {path} must be a JSON object of at most {MAX_SCHEMA_BYTES} bytes.")
    return schema


def check_model(path: str) -> None:
    """The engine says of every unusable file only that it could not start; the common causes are told apart here."""
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UnableError(f"The model {path} cannot be read: {error.strerror}.") from error
    if magic != b"GGUF":
        raise UnableError(f"The model {path} is not a GGUF file.")


def load(path: str) -> xllamacpp.Server:
    # Where the engine aborts (memory is short) it would start gdb, in the cell, for a backtrace.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    try:
        import xllamacpp
    except ImportError as error:
        needs = "It needs the system's libgomp1 and libstdc++6: apt-get install libgomp1 libstdc++6, as root."
        raise UnableError(f"The engine cannot be loaded: {str(error)[:300]}. {needs}") from error
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1
    # Two threads are no faster and, on a busy machine, ten times slower: OpenMP spins while it waits.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_gpu_layers = params.cache_ram_mib = params.verbosity = 0
    params.warmup = False
    # The engine opens an HTTP server on loopback unasked. Nobody knows this key, so nobody can use it.
    params.api_keys = [os.urandom(32).hex()]
    # Else a thread for every core of the host, against the cell's limit of processes.
    params.n_threads_http = 1
    try:
        KEPT.append(xllamacpp.Server(params))
    except (RuntimeError, MemoryError) as error:
        raise LocalError(f"The model {path} is damaged, or unknown to the engine, or memory is short.") from error
    return KEPT[0]


def ask(server: xllamacpp.Server, prompt: str, max_tokens: int, schema: dict[str, Any] | None) -> str:
    messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": prompt}]
    request: dict[str, Any] = {"messages": messages, "max_tokens": max_tokens, "temperature": 0}
    if schema is not None:
        request["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    try:
        reply = server.handle_chat_completions(request)
    except ValueError as error:
        raise LocalError(f"The engine refused the request: {str(error).rpartition('failed: ')[2]}.") from error
    problem = reply.get("error", {})
    if problem.get("type") == "exceed_context_size_error":
        size = f"{problem['n_prompt_tokens']} tokens with the system prompt; the context holds {problem['n_ctx']}"
        raise LocalError(f"The prompt is too long: {size}.")
    if problem:
        raise LocalError(f"The engine refused the request: {problem.get('message')}.")
    return judge(reply["choices"][0], constrained=schema is not None)


def judge(choice: dict[str, Any], *, constrained: bool) -> str:
    """The answer's text. A text cut by the token limit is still an answer; JSON cut by it is none."""
    if constrained and choice["finish_reason"] == "length":
        raise LocalError("The JSON was cut by the token limit: bound the schema's strings, numbers and arrays.")
    text: str = choice["message"].get("content") or ""
    if not text.strip():
        raise LocalError("The model gave an empty answer.")
    return text


def token_count(text: str) -> int:
    if text.isdecimal() and len(text) <= 4 and 0 < int(text) < CONTEXT_TOKENS:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {CONTEXT_TOKENS - 1}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local", description="Answer one prompt with the embedded model.")
    parser.add_argument("--model", required=True, help="the weights, a GGUF file")
    parser.add_argument("--site", required=True, help="the folder that holds the package xllamacpp")
    parser.add_argument("--max-tokens", type=token_count, default=300, metavar="N")
    parser.add_argument("--schema-file", help="a JSON schema that the answer must meet")
    return parser.parse_args()


def answer(arguments: argparse.Namespace) -> str:
    check_cpu()
    schema = read_schema(arguments.schema_file) if arguments.schema_file else None
    prompt = read_prompt()
    check_model(arguments.model)
    sys.path.insert(0, arguments.site)
    return ask(load(arguments.model), prompt, arguments.max_tokens, schema)


def main() -> NoReturn:
    arguments = parse_arguments()
    # Whatever the engine prints goes to stderr: stdout carries the answer and nothing else.
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        text = answer(arguments)
        with open(stdout, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        code = 0
    except (LocalError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
        code = error.code if isinstance(error, LocalError) else 1
    # Without any teardown: see KEPT.
    os._exit(code)


if __name__ == "__main__":
    main()
