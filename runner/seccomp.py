"""The system calls of an agent, filtered: from the list of what is denied to a program for the kernel.

Pure: nothing is installed here (see `init`). The program is classic BPF, as seccomp takes it: the architecture first,
for the numbers mean something else in another; then number after number, each with what is to be done about it right
behind, so that no jump is longer than one call's own block.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Sequence
from errno import ENOSYS

from runner.denied import LOW, NEWEST, AnyBit, NoneOf, OneOf, Policy, Rule, calls

# AUDIT_ARCH_*, and the column of numbers in `denied`.
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# linux/bpf_common.h
LOAD, AND, RETURN = 0x20, 0x54, 0x06
JUMP_EQUAL, JUMP_GREATER, JUMP_ANY_BIT = 0x15, 0x25, 0x45
# linux/seccomp.h
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
# struct seccomp_data; little-endian, as both machines are.
NUMBER, ARCH, ARGUMENTS = 0, 4, 16

# struct sock_filter: operation, how many instructions to skip if true and if false, and a constant.
Instruction = tuple[int, int, int, int]


class Filter:
    """`program`: an array of struct sock_filter; `summary`: in words, for the record."""

    def __init__(self, program: bytes, summary: str) -> None:
        self.program, self.summary = program, summary


def build(policy: Policy, machine: str, pointer_bits: int = sys.maxsize.bit_length() + 1) -> Filter | None:
    """The filter for a kernel that calls itself `machine` (see uname); None where we do not know its numbers.

    A 32-bit init on a 64-bit kernel makes other calls than the kernel's name says, so there is none for it either.
    """
    if machine not in MACHINES or pointer_bits != 64:
        return None
    arch, column = MACHINES[machine]
    code = [
        (LOAD, 0, 0, ARCH),
        (JUMP_EQUAL, 1, 0, arch),
        # A 32-bit program. Its calls cannot be told apart by our numbers, and one SIGSYS is clearer than many errors.
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD, 0, 0, NUMBER),
        (JUMP_GREATER, 0, 1, NEWEST),
        refuse(ENOSYS),
    ]
    denied = checked = 0
    for call in calls(policy):
        number = call.numbers[column]
        if number is None:
            continue
        block = block_of(call.rules)
        code += [(JUMP_EQUAL, 0, len(block), number), *block]
        always = not call.rules[0].conditions
        denied, checked = denied + always, checked + (not always)
    code.append((RETURN, 0, 0, ALLOW))
    return Filter(pack(code), f"{denied} calls denied, {checked} checked, {machine}")


def block_of(rules: Sequence[Rule]) -> list[Instruction]:
    """What is done about one call. The end of it is never passed."""
    code = [instruction for rule in rules for instruction in rule_of(rule)]
    return [*code, (RETURN, 0, 0, ALLOW)] if rules[-1].conditions else code


def rule_of(rule: Rule) -> list[Instruction]:
    """From its end to its beginning: each condition must know how much to skip where it does not hold."""
    code = [refuse(rule.errno)]
    for condition in reversed(rule.conditions):
        code = [*condition_of(condition, skip=len(code)), *code]
    return code


def condition_of(condition: AnyBit | OneOf, skip: int) -> list[Instruction]:
    """Goes on behind its end where the condition holds, else `skip` instructions further."""
    if isinstance(condition, AnyBit):
        return any_bit(condition, skip)
    code = [(LOAD, 0, 0, ARGUMENTS + 8 * condition.argument)]
    if condition.mask != LOW:
        code.append((AND, 0, 0, condition.mask))
    for left, value in zip(range(len(condition.values) - 1, -1, -1), condition.values, strict=True):
        then, otherwise = (left + skip, 0) if isinstance(condition, NoneOf) else (left, 0 if left else skip)
        code.append((JUMP_EQUAL, then, otherwise, value))
    return code


def any_bit(condition: AnyBit, skip: int) -> list[Instruction]:
    low, high = condition.mask & LOW, condition.mask >> 32
    at = ARGUMENTS + 8 * condition.argument
    if not high:
        return [(LOAD, 0, 0, at), (JUMP_ANY_BIT, 0, skip, low)]
    return [
        (LOAD, 0, 0, at + 4),
        (JUMP_ANY_BIT, 2, 0, high),
        (LOAD, 0, 0, at),
        (JUMP_ANY_BIT, 0, skip, low),
    ]


def refuse(errno: int) -> Instruction:
    return (RETURN, 0, 0, ERRNO | errno)


def pack(code: Iterable[Instruction]) -> bytes:
    """A jump that is too long for its byte is an error here, never a wrong jump."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
