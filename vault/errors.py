"""Every error that the vault raises, in one tree.

    VaultError
    ├── NoVault            nothing to open in this folder
    ├── VaultExists        a vault is already there
    ├── VaultBusy          another process has it open
    ├── VaultLocked        no key, and no way to ask for one
    ├── UnlockFailed       wrong passphrase or damaged keyslot: one answer for all
    ├── StorageFailed      the disk refused (full, read-only, damaged)
    ├── NotFound           no such document, person, grant; or more than one
    ├── RightMissing       the grant allows less than what was asked
    ├── AccessEnded        the grant is over
    ├── InputRefused       a file or value that Elpis does not take
    │   └── WrongSubject   the file is about somebody else
    ├── ForeignChange      a change from outside was quarantined
    └── VerificationFailed
        ├── Malformed          not the one encoding that the spec allows
        ├── TooLarge           over a size cap, refused before decoding
        ├── SuiteRefused       unknown suite, or below the roster's minimum
        ├── BadSignature       wrong key, wrong context or changed bytes
        ├── CannotOpen         wrong key, wrong purpose or changed ciphertext
        ├── BadKey             low-order or otherwise unusable public key
        ├── BelowFloor         key-derivation parameters weaker than the floor
        ├── WrongRecipient     signed for somebody else
        ├── Replayed           seen before, reflected or out of sequence
        ├── Expired            outside of its dates
        ├── RoleDenied         a payer's role: nothing is ever sealed to it
        ├── NotCertified       no pinned authority vouches for id and role
        ├── RolledBack         older than what was seen before
        ├── RelayContradiction two histories signed by one relay
        └── AuthorityContradiction two logs or two lists signed by one authority

A message says what happened; `hint` says what was not lost and what to do next. `code` is the failure class that
the vectors of `spec/vectors` name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two statements signed by one key that contradict each other."""

    authority: bytes
    first: bytes
    second: bytes


class VaultError(Exception):
    """Root of the tree. `facts` are values for a translated sentence, never secrets or plaintext."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "", *, hint: str = "", **facts: object) -> None:
        super().__init__(message or self.code)
        self.hint = hint
        self.facts = facts


class NoVault(VaultError):
    code = "no-vault"


class VaultExists(VaultError):
    code = "vault-exists"


class VaultBusy(VaultError):
    code = "vault-busy"


class VaultLocked(VaultError):
    code = "vault-locked"


class UnlockFailed(VaultError):
    code = "unlock-failed"


class StorageFailed(VaultError):
    code = "storage-failed"


class NotFound(VaultError):
    code = "not-found"


class RightMissing(VaultError):
    code = "right-missing"


class AccessEnded(VaultError):
    code = "access-ended"


class InputRefused(VaultError):
    code = "input-refused"


class WrongSubject(InputRefused):
    code = "wrong-subject"


class ForeignChange(VaultError):
    code = "foreign-change"


class VerificationFailed(VaultError):
    code = "verification-failed"


class Malformed(VerificationFailed):
    code = "malformed"


class TooLarge(VerificationFailed):
    code = "too-large"


class SuiteRefused(VerificationFailed):
    code = "suite-refused"


class BadSignature(VerificationFailed):
    code = "bad-signature"


class CannotOpen(VerificationFailed):
    code = "cannot-open"


class BadKey(VerificationFailed):
    code = "bad-key"


class BelowFloor(VerificationFailed):
    code = "below-floor"


class WrongRecipient(VerificationFailed):
    code = "wrong-recipient"


class Replayed(VerificationFailed):
    code = "replayed"


class Expired(VerificationFailed):
    code = "expired"


class RoleDenied(VerificationFailed):
    code = "role-denied"


class NotCertified(VerificationFailed):
    code = "not-certified"


class RolledBack(VerificationFailed):
    code = "rolled-back"


class RelayContradiction(VerificationFailed):
    code = "relay-contradiction"


class AuthorityContradiction(VerificationFailed):
    """`first` and `second`: two statements signed by `authority` that contradict each other."""

    code = "authority-contradiction"

    def __init__(self, message: str = "", *, authority: bytes, first: bytes, second: bytes) -> None:
        super().__init__(message)
        self.evidence = Evidence(authority, first, second)
