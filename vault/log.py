"""The log of an authority: a Merkle tree over every certificate that it ever signed, and its signed heads.

An authority that certifies the wrong person does so in a file that others keep; one that shows two files is caught by
two of its own signatures. Normative text: spec/certificate.md, section "Log".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vault.encoding import Shape, blob, integer, moment
from vault.errors import AuthorityContradiction, BadSignature, Malformed, NotCertified
from vault.primitives import KEY, SUITE, SigningKey, hash32, need_suite
from vault.statement import make_statement, read_statement

LEAF = 32
MAX_PATH = 40
MAX_HEAD = 640

HEAD = Shape(
    "log-head",
    {
        "suite": integer(0, 255),
        "authority": blob(KEY),
        "size": integer(),
        "root": blob(LEAF),
        "time": moment(),
    },
    limit=512,
)


@dataclass(frozen=True, slots=True)
class Head:
    """A head whose signature was checked. `data` is the statement: evidence, if another one contradicts it."""

    authority: bytes
    size: int
    root: bytes
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Extract:
    """The newest part of a log: the leaves from `start` on, and the peaks of everything before."""

    start: int
    peaks: tuple[bytes, ...]
    leaves: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return self.start + len(self.leaves)

    def leaf(self, index: int) -> bytes | None:
        return self.leaves[index - self.start] if self.start <= index < self.size else None

    def roots(self, sizes: Iterable[int]) -> dict[int, bytes]:
        """The root of the log at each of these sizes, as far as the extract reaches."""
        wanted = {size for size in sizes if self.start <= size <= self.size}
        return {size: root for size, root in self._all_roots(wanted) if size in wanted}

    def _all_roots(self, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
        stack = list(self.peaks)
        if self.start in wanted:
            yield self.start, _bagged(stack)
        for size, leaf in enumerate(self.leaves, self.start + 1):
            _push(stack, size, leaf)
            if size in wanted:
                yield size, _bagged(stack)


def derive_leaf(certificate: bytes) -> bytes:
    return hash32(b"\0" + certificate, "elpis-log")


def derive_node(left: bytes, right: bytes) -> bytes:
    return hash32(b"\1" + left + right, "elpis-log")


def derive_root(leaves: Sequence[bytes]) -> bytes:
    return Extract(0, (), tuple(leaves)).roots([len(leaves)])[len(leaves)]


def make_extract(leaves: Sequence[bytes], start: int) -> Extract:
    stack: list[bytes] = []
    for size, leaf in enumerate(leaves[:start], 1):
        _push(stack, size, leaf)
    return Extract(start, tuple(stack), tuple(leaves[start:]))


def make_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of RFC 9162 2.1.3.1, from the leaf upwards."""
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        left = index < middle
        path.append(derive_root(leaves[middle:high] if left else leaves[low:middle]))
        low, high = (low, middle) if left else (middle, high)
    return path[::-1]


def check_path(leaf: bytes, index: int, path: Sequence[bytes], head: Head) -> None:
    """NotCertified unless the path leads from this leaf at this place to the head's root (RFC 9162 2.1.3.2)."""
    node, last, steps = leaf, head.size - 1, iter(path)
    if not 0 <= index <= last:
        raise not_logged()
    for step in steps:
        if last == 0:
            raise not_logged()
        if index & 1 or index == last:
            node = derive_node(step, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = derive_node(node, step)
        index, last = index >> 1, last >> 1
    if last or node != head.root:
        raise not_logged()


def not_logged() -> NotCertified:
    return NotCertified("the certificate is not in the authority's log", reason="not-logged")


def make_head(key: SigningKey, size: int, root: bytes, now: int) -> bytes:
    fields = {"suite": SUITE, "authority": key.public, "size": size, "root": root, "time": now}
    return make_statement("log-head", HEAD, fields, key)


def read_head(data: bytes, authority: bytes) -> Head:
    statement = read_statement("log-head", HEAD, data)
    fields = statement.fields
    need_suite(fields["suite"])
    statement.by(authority)
    if fields["authority"] != authority:
        raise BadSignature("a log head in another authority's name")
    return Head(authority, fields["size"], fields["root"], fields["time"], data)


def compare(extract: Extract, head: Head, others: Iterable[Head]) -> None:
    """AuthorityContradiction when a head is not of one history with `head`, whose leaves the extract holds.

    NotCertified when one is from before the extract begins. What is larger than `head` is compared another time.
    """
    known = list(others)
    for other in known:
        grown = other.size - head.size
        if (grown > 0 and other.time < head.time) or (grown < 0 and other.time > head.time):
            raise _contradiction("the authority's log has become smaller", other, head)
    roots = extract.roots(other.size for other in known)
    for other in known:
        if other.size > head.size:
            continue
        if other.size not in roots:
            raise NotCertified("the authority's file does not reach back to what this vault saw", reason="no-overlap")
        if roots[other.size] != other.root:
            raise _contradiction("the authority signed two histories of its log", other, head)


def compare_unknown(first: Head, second: Head) -> None:
    """The same for two heads whose leaves nobody here has: one size has one root, and a larger log is not older."""
    if (first.size == second.size and first.root != second.root) or (
        (first.size - second.size) * (first.time - second.time) < 0
    ):
        raise _contradiction("the authority signed two histories of its log", first, second)


def _contradiction(why: str, first: Head, second: Head) -> AuthorityContradiction:
    return AuthorityContradiction(why, authority=first.authority, first=first.data, second=second.data)


def need_peaks(start: int, peaks: Sequence[bytes]) -> None:
    if len(peaks) != start.bit_count():
        raise Malformed("not one peak for each perfect tree before the extract")


def _push(stack: list[bytes], size: int, leaf: bytes) -> None:
    """One leaf more: `size` is the number of leaves with it, and its low bits say how many trees are full now."""
    stack.append(leaf)
    while not size & 1:
        right = stack.pop()
        stack[-1] = derive_node(stack[-1], right)
        size >>= 1


def _bagged(stack: Sequence[bytes]) -> bytes:
    if not stack:
        return hash32(b"", "elpis-log")
    root = stack[-1]
    for peak in reversed(stack[:-1]):
        root = derive_node(peak, root)
    return root
