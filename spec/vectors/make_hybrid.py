"""spec/primitives.md, section 8: sealing to a person in suite 2."""

from __future__ import annotations

from spec.vectors.people import DOCTOR, OTHER, kem_of
from spec.vectors.sealing import seal_hybrid
from spec.vectors.writing import Vectors, fixed, flip, seal_fixed
from vault import hybrid


def make() -> list[Vectors]:
    return [_hybrid(), _key()]


def _hybrid() -> Vectors:
    vectors = Vectors("hybrid")
    seed, box = hybrid.derive_seed(DOCTOR.sign.seed), DOCTOR.box
    other = hybrid.derive_seed(OTHER.sign.seed)

    def sealed(text: bytes, name: str = "hybrid", info: bytes = b"elpis/sealed/2\0") -> bytes:
        return seal_hybrid(name, kem_of(DOCTOR), box.public, text, info)

    def given(data: bytes, seed: bytes = seed, secret: bytes = box.secret) -> dict[str, bytes]:
        return {"seed": seed, "secret": secret, "sealed": data}

    good, long = sealed(b"for one person"), fixed("hybrid text", 700)
    vectors.valid("text", "a short text", given(good), {"plaintext": b"for one person"})
    vectors.valid("empty", "nothing inside", given(sealed(b"")), {"plaintext": b""})
    vectors.valid("long", "700 bytes", given(sealed(long, "hybrid 2")), {"plaintext": long})
    for name, description, told in (
        ("other-seed", "opened with another ML-KEM key", given(good, seed=other)),
        ("other-secret", "opened with another X25519 key", given(good, secret=OTHER.box.secret)),
        ("other-person", "opened with another person's keys", given(good, other, OTHER.box.secret)),
        ("kem-first-bit", "the first bit of the ML-KEM ciphertext", given(flip(good, 0))),
        ("kem-last-bit", "the last bit of the ML-KEM ciphertext", given(flip(good, 1087, 7))),
        ("sender-changed", "one bit of the ephemeral X25519 key", given(flip(good, 1088))),
        ("sender-zero", "an ephemeral X25519 key of low order", given(good[:1088] + bytes(32) + good[1120:])),
        ("text-changed", "one bit of the text", given(flip(good, 1120))),
        ("tag-changed", "one bit of the tag", given(flip(good, -1))),
        ("cut", "the last byte gone", given(good[:-1])),
        ("longer", "one byte more", given(good + b"\0")),
        ("1135", "one byte shorter than an empty box", given(sealed(b"")[:1135])),
        ("nothing", "no byte at all", given(b"")),
        ("other-info", "sealed for another purpose", given(sealed(b"x", info=b"elpis/sealed/3\0"))),
        ("no-info", "sealed for no purpose", given(sealed(b"x", info=b""))),
        ("suite-1", "a sealed box of suite 1", given(seal_fixed(fixed("ephemeral"), box.public, long + long))),
    ):
        vectors.refused(name, description, "cannot-open", told)
    return vectors


def _key() -> Vectors:
    vectors = Vectors("hybrid-key")
    public = kem_of(DOCTOR)
    vectors.valid(
        "person", "the key that goes with a signing seed", {"public": public, "signing": DOCTOR.sign.seed}, {}
    )
    over = int.from_bytes(public[:3], "little") & ~0xFFF | 3329
    for name, description, failure, key in (
        ("coefficient", "a coefficient that is the modulus", "bad-key", over.to_bytes(3, "little") + public[3:]),
        ("ones", "nothing but ones", "bad-key", b"\xff" * 1184),
        ("short", "1183 bytes", "malformed", public[:-1]),
        ("long", "1185 bytes", "malformed", public + b"\0"),
        ("x25519", "the X25519 key in its place", "malformed", DOCTOR.box.public),
    ):
        vectors.refused(name, description, failure, {"public": key})
    return vectors
