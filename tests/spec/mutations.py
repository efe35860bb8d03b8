"""Takes one check at a time out of a copy of the tree and runs the attack tests that belong to it: each must fail.

    python -m tests.spec.mutations [WORD]        only those whose name holds the word

A test that passes without its check proves nothing about it; its line ends with STILL PASSES, the program with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ATTACKS = "tests/spec/attacks/"
PEOPLE, ENVELOPES, RELAY = (f"{ATTACKS}test_{name}.py::test_" for name in ("identities", "envelopes", "hostile_relay"))
STRANGERS = f"{ATTACKS}test_strangers.py::test_"
HOUSEHOLD = f"{ATTACKS}test_removed_devices.py::test_"
PRODUCT = "tests/spec/test_vectors.py::test_the_product_agrees"
SYNC, VAULT, TUI = "tests/sync/", "tests/vault/", "tests/tui/"


@dataclass(frozen=True)
class Mutation:
    """`old` in `file` becomes `new`, which is the same without one check; then every test of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def source(self, root: Path) -> str:
        return (root / self.file).read_text()

    def apply(self, root: Path) -> None:
        (root / self.file).write_text(self.source(root).replace(self.old, self.new))


def _list() -> Iterator[Mutation]:
    def one(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
        return Mutation(name, file, old, new, tests)

    # Keys, people, roles
    yield one(
        "evidence: room of its own for what relays signed", "vault/outbox.py",
        "isinstance(failure, RelayContradiction) and not _is_word(failure)", "False",
        f"{ENVELOPES}evidence_against_a_relay_is_not_crowded_out",
    )  # fmt: skip
    yield one(
        "change: room for the next epoch", "vault/replica.py",
        "        if ready:\n            need_room(state)", "",
        f"{ENVELOPES}a_document_that_grows_until_no_epoch_can_start",
    )  # fmt: skip
    yield one(
        "end: of a document that fits no edition", "vault/sharing.py",
        "for document in here if self._epochs.can_start(document)]", "for document in here]",
        f"{ENVELOPES}a_document_that_fits_no_edition_ends_for_everybody",
    )  # fmt: skip
    yield one(
        "end: beside somebody who leads nowhere", "vault/sharing.py",
        " or not can_be_sent_to(card):", ":",
        f"{ENVELOPES}somebody_who_stays_and_cannot_be_sent_to",
    )  # fmt: skip
    yield one(
        "grant: of one person for another's", "vault/visiting.py",
        "if any(r.issuer_sign != row.issuer_sign for r in rows if r.state == row.state):", "if False:",
        f"{STRANGERS}grant_of_a_document_that_somebody_else_grants",
    )  # fmt: skip
    yield one(
        "memory of a mailbox: under its issuer and its relay", "vault/store/mailboxes.py",
        "    return issuer + relay_key + address", "    return address",
        f"{STRANGERS}card_that_names_the_holders_inbox_at_another_relay",
        f"{STRANGERS}grant_of_somebody_elses_channel",
    )  # fmt: skip
    yield one(
        "certificate: for these keys", "vault/certificate.py",
        "    if (certificate.sign, certificate.box) != (card.sign, card.box):", "    if False:",
        f"{PEOPLE}swapped_recipient_key",
    )  # fmt: skip
    yield one(
        "certificate: for this name", "vault/certificate.py",
        "    if _fold_name(certificate.name) != _fold_name(card.name):", "    if False:",
        f"{PEOPLE}wrong_name_certificate",
    )  # fmt: skip
    yield one(
        "certificate: in its dates", "vault/certificate.py",
        "    if not certificate.start <= now < certificate.until:", "    if False:",
        f"{PEOPLE}expired_certificate",
    )  # fmt: skip
    yield one(
        "certificate: not for longer", "vault/certificate.py",
        '    if fields["until"] - fields["from"] > MAX_DAYS * DAY:', "    if False:",
        f"{PEOPLE}certificate_for_longer_than_allowed",
    )  # fmt: skip
    yield one(
        "certificate: signed by the authority", "vault/certificate.py",
        "    statement.by(authority.sign)", "    pass",
        f"{PEOPLE}certificate_of_an_authority_that_nobody_pinned",
    )  # fmt: skip
    yield one(
        "certificate: not revoked", "vault/bulletin.py",
        "        if when is not None:", "        if False:",
        f"{PEOPLE}revoked_certificate",
    )  # fmt: skip
    yield one(
        "certificate: a list that is fresh", "vault/bulletin.py",
        "        if now >= self.revocations.next:", "        if False:",
        f"{PEOPLE}revocation_list_withheld",
    )  # fmt: skip
    yield one(
        "certificate: in the log", "vault/certificate.py",
        '    check_path(derive_leaf(logged["certificate"]), logged["index"], logged["path"], head)', "    pass",
        f"{PEOPLE}certificate_beside_the_log",
    )  # fmt: skip
    yield one(
        "authority: one history", "vault/log.py",
        "        if roots[other.size] != other.root:", "        if False:",
        f"{PEOPLE}certificate_beside_the_log",
    )  # fmt: skip
    yield one(
        "authority: a log that grows", "vault/log.py",
        "        if (grown > 0 and other.time < head.time) or (grown < 0 and other.time > head.time):",
        "        if False:",
        f"{PEOPLE}log_that_forks_or_shrinks",
    )  # fmt: skip
    yield one(
        "certificate: not an older one for other keys", "vault/people.py",
        "                self._refuse_other_keys(checked)", "",
        f"{PEOPLE}swapped_key_in_a_renewed_certificate",
    )  # fmt: skip
    yield one(
        "people: met or certified", "vault/people.py",
        "            if not row.met:\n                raise NotCertified",
        "            if False:\n                raise NotCertified",
        f"{PEOPLE}swapped_recipient_key",
    )  # fmt: skip
    yield one(
        "people: not one's own card", "vault/people.py",
        "        if read.id == self._identity.id:", "        if False:",
        f"{PEOPLE}own_card_is_nobody_elses",
    )  # fmt: skip
    yield one(
        "card: signed by its own key", "vault/identity.py",
        '    card.by(fields["sign"])', "    pass",
        f"{PEOPLE}swapped_box_key_under_the_right_signature_key",
    )  # fmt: skip
    yield one(
        "card: its suite", "vault/statement.py",
        "    need_suite(suite, known=tuple(shapes))", "    pass",
        f"{PEOPLE}unknown_or_lower_suite",
    )  # fmt: skip
    yield one(
        "card: not less than before", "vault/people.py",
        "    if card.suite < before.suite:", "    if False:",
        f"{PEOPLE}downgrade_of_a_person",
    )  # fmt: skip
    yield one(
        "sealed: in the suite that was signed", "vault/statement.py",
        "    if _suite_of(statement) != suite:", "    if False:",
        f"{PEOPLE}downgrade_of_a_sealed_message",
    )  # fmt: skip
    yield one(
        "role: a payer is refused", "vault/certificate.py",
        "    if folded in DENIED_ROLES:", "    if False:",
        f"{PEOPLE}role_denied_that_the_card_itself_states", f"{PEOPLE}role_spelled_otherwise",
    )  # fmt: skip
    yield one(
        "role: only what is listed", "vault/certificate.py",
        "    if folded not in ROLES:", "    if False:",
        f"{PEOPLE}role_denied",
    )  # fmt: skip
    yield one(
        "role: in the sealing too", "vault/grant.py",
        "    check_role(body.role)\n", "",
        f"{PEOPLE}role_denied_in_the_sealing_itself",
    )  # fmt: skip
    yield one(
        "roster: signed by the root", "vault/roster.py",
        'read_statement("roster", ROSTER, data).by(root)', 'read_statement("roster", ROSTER, data)',
        f"{PEOPLE}unsigned_roster_entry",
    )  # fmt: skip
    yield one(
        "roster: minimum suite", "vault/roster.py",
        '    need_suite(fields["suite"])\n    if not minimum <=', "    if not minimum - 9 <=",
        f"{PEOPLE}unknown_or_lower_suite",
    )  # fmt: skip
    yield one(
        "inbox: least suite", "sync/pulling.py",
        "message.body, self._vault.devices.roster().min_suite)", "message.body)",
        f"{SYNC}test_least_suite.py::test_nothing_goes_out_below_it_and_nothing_comes_in",
    )  # fmt: skip
    yield one(
        "access: least suite", "vault/people.py",
        "        if card.suite < least:", "        if False:",
        f"{SYNC}test_least_suite.py::test_nothing_goes_out_below_it_and_nothing_comes_in",
    )  # fmt: skip
    yield one(
        "opening: the key behind it", "sync/wire.py",
        "        if opening.kem_hash is not None and hash_body(kem) != opening.kem_hash:", "        if False:",
        f"{SYNC}test_relay_halves.py::test_a_key_of_suite_2_that_is_none_is_refused_and_not_traced",
    )  # fmt: skip
    yield one(
        "hello: suite 2", "vault/enrolment.py",
        """    need_suite(fields["suite"], known=(HYBRID,))
    if fields["role"]""", """    if fields["role"]""",
        f"{PRODUCT}[device-hello]",
    )  # fmt: skip
    yield one(
        "hello: the one that was answered", "sync/pairing.py",
        "            new, transcript = meeting.read(), meeting.transcript()",
        """            again = _messages(client, meeting.code, 1, 0)[0]
            meeting = replace(meeting, taken=meeting.code.open(again))
            new, transcript = meeting.read(), meeting.transcript()""",
        f"{SYNC}test_pairing.py::test_another_hello_in_place_of_the_one_that_was_answered",
        f"{SYNC}test_pairing.py::test_the_hello_that_was_answered_is_the_one_that_is_let_in",
    )  # fmt: skip
    yield one(
        "roster: least suite", "vault/roster.py",
        '    if not minimum <= fields["min_suite"] <= max(SEALING):', "    if False:",
        f"{PEOPLE}suite_below_the_rosters_minimum",
    )  # fmt: skip
    yield one(
        "roster: signed by a device of before", "vault/roster.py",
        '    if fields["signer"] not in signers:', "    if False:",
        f"{PEOPLE}unsigned_roster_entry_later",
    )  # fmt: skip
    yield one(
        "roster: really signed", "vault/roster.py",
        '    statement.by(fields["signer"])', "    pass",
        f"{PEOPLE}unsigned_roster_entry_later",
    )  # fmt: skip
    yield one(
        "roster: who left does not come back", "vault/roster.py",
        "    if ids & before.gone:", "    if False:",
        f"{PEOPLE}removed_device_comes_back",
    )  # fmt: skip
    yield one(
        "roster: a removal counts in every branch", "vault/histories.py",
        "        void = self._void()\n        chain, at", "        void = set[bytes]()\n        chain, at",
        "tests/vault/test_roster.py::test_a_removed_device_gains_nothing_by_a_branch_that_lost",
    )  # fmt: skip
    yield one(
        "signature: one context each", "vault/primitives.py",
        'b"elpis/" + kind.encode() + b"/1\\0"', 'b"elpis/1\\0"',
        f"{PEOPLE}each_signature_under_every_other_context",
    )  # fmt: skip
    yield one(
        "statement: of the type that is read", "vault/statement.py",
        '    if outer["type"] != kind:', "    if False:",
        f"{PEOPLE}a_statement_under_another_name",
    )  # fmt: skip
    yield one(
        "keys: none of low order", "vault/primitives.py",
        '        sodium.crypto_scalarmult(b"\\x42" * KEY, public)', "        pass",
        f"{PEOPLE}low_order_keys",
    )  # fmt: skip

    # At home
    yield one(
        "keyslots: the whole file", "vault/keys.py",
        "        if not primitives.same(self._mac(key), self.mac):", "        if False:",
        f"{VAULT}test_keyslots.py::test_every_bit_flipped_in_every_keyslot_gives_one_uniform_error",
    )  # fmt: skip
    yield one(
        "passphrase: the floor", "vault/primitives.py",
        "    if ops < ARGON_FLOOR_OPS or memory < ARGON_FLOOR_MEMORY:", "    if False:",
        "tests/spec/test_ground.py::test_argon_parameters_are_refused_before_hashing",
    )  # fmt: skip
    yield one(
        "box: the commitment", "vault/primitives.py",
        '    if not same(derive_key(k, "elpis-commit", aad), commitment):', "    if False:",
        f"{PEOPLE}every_bit_flipped_in_every_wrap_gives_one_uniform_error",
        f"{PRODUCT}[box]",
    )  # fmt: skip
    yield one(
        "attachment: FINAL at the end", "vault/attachment.py",
        "    if not final:", "    if False:",
        f"{VAULT}test_attachment.py::test_a_stream_that_goes_on_or_stops_elsewhere_than_its_metadata_says",
    )  # fmt: skip
    yield one(
        "attachment: its length", "vault/attachment.py",
        "            if os.fstat(file.fileno()).st_size != sealed_length(size):", "            if False:",
        f"{PRODUCT}[attachment]",
    )  # fmt: skip
    yield one(
        "vault: not older than its head", "vault/head.py",
        "    if not same(link, named):", "    if False:",
        f"{VAULT}test_vault.py::test_rollback_of_vault_the_database_put_back", f"{PRODUCT}[head]",
    )  # fmt: skip

    # Grants and openings
    yield one(
        "grant: made for me", "vault/grant.py",
        '    if outer.fields["recipient"] != me.box.public:\n        raise WrongRecipient("this grant',
        '    if False:\n        raise WrongRecipient("this grant',
        f"{PEOPLE}resealed_grant_with_another_package_around_it",
    )  # fmt: skip
    yield one(
        "grant: for my keys", "vault/grant.py",
        '    if (fields["grantee_sign"], fields["grantee_box"]) != (me.sign.public, me.box.public):', "    if False:",
        f"{PEOPLE}resealed_grant_with_another_package_around_it",
    )  # fmt: skip
    yield one(
        "grant: package by the issuer", "vault/grant.py",
        '    outer.by(fields["issuer_sign"])', "    pass",
        f"{PEOPLE}resealed_grant_with_another_package_around_it",
    )  # fmt: skip
    yield one(
        "grant: once", "vault/visiting.py",
        "        if self._grants.visit(number) is not None:", "        if False:",
        f"{PEOPLE}grant_received_twice",
    )  # fmt: skip
    yield one(
        "wrap: for this item", "vault/masking.py",
        'b"wrap\\0" + document + epoch.to_bytes(8, "big") + edition + mailbox', 'b"wrap\\0"',
        f"{PEOPLE}every_bit_flipped_in_every_wrap_gives_one_uniform_error", f"{PRODUCT}[wrap]",
    )  # fmt: skip
    yield one(
        "wrap: of this grant", "vault/masking.py",
        '"elpis-grant-key", half_tag + grant_hash + tag))', '"elpis-grant-key", half_tag + tag))',
        f"{PRODUCT}[wrap]",
    )  # fmt: skip
    yield one(
        "wrap: a whole key", "vault/masking.py",
        "    if len(left) != len(right):", "    if False:",
        f"{VAULT}test_grant.py::test_a_key_is_masked_by_as_many_bytes_as_it_has", f"{PRODUCT}[wrap]",
    )  # fmt: skip
    yield one(
        "wrap: appending only with the right to edit", "vault/masking.py",
        " if edit else None", "",
        f"{PRODUCT}[wrap]",
    )  # fmt: skip
    yield one(
        "grant: columns of one length", "vault/masking.py",
        "    if count < 1 or any(len(fields[name]) != count * width for name, width in WIDTHS.items()):",
        "    if count < 1:",
        f"{PRODUCT}[grant]", f"{VAULT}test_grant.py::test_what_a_reader_refuses_is_never_written",
    )  # fmt: skip
    yield one(
        "grant: an epoch that is one", "vault/masking.py",
        "    if min(epochs) < 1 or max(epochs) > MAX_INT:", "    if False:",
        f"{PRODUCT}[grant]",
    )  # fmt: skip
    yield one(
        "grant: nothing twice", "vault/masking.py",
        "        if len(set(parts[name])) != len(epochs):", "        if False:",
        f"{PRODUCT}[grant]", f"{PRODUCT}[renewal]",
    )  # fmt: skip
    yield one(
        "grant: a key and a label for each item", "vault/grant.py",
        "    if len(keys) != count * KEY or len(labels) != count:", "    if False:",
        f"{PRODUCT}[grant]", f"{PRODUCT}[renewal]",
        f"{VAULT}test_grant.py::test_what_a_reader_refuses_is_never_written",
    )  # fmt: skip
    yield one(
        "grant: labels of their size", "vault/masking.py",
        "        if max(map(len, value), default=0) > MAX_LABEL:", "        if False:",
        f"{PRODUCT}[grant]",
    )  # fmt: skip
    yield one(
        "grant: labels that are bytes", "vault/masking.py",
        " or not {bytes}.issuperset(map(type, value))", "",
        f"{PRODUCT}[grant]",
    )  # fmt: skip
    yield one(
        "grant: the form before", "vault/grant.py",
        "        if type_of(data, MAX_MESSAGE) == kind and _has_wraps(data):", "        if False:",
        f"{PRODUCT}[grant]", f"{PRODUCT}[renewal]",
    )  # fmt: skip
    yield one(
        "trace: one signature, one opening", "vault/opening.py",
        "    if request.counter <= after:", "    if False:",
        f"{RELAY}trace_entry_replayed",
    )  # fmt: skip
    yield one(
        "trace: signed by this grant's reader", "vault/opening.py",
        '    verify(reader, "opening", data[:-SIGNATURE], data[-SIGNATURE:])\n', "",
        f"{PRODUCT}[opening-request]",
    )  # fmt: skip
    yield one(
        "relay: the end, once more before sending", "sync/relay/keeper.py",
        "        if self._clock.now() >= self.until:", "        if False:",
        f"{SYNC}test_relay_halves.py::test_release_after_the_end",
    )  # fmt: skip
    yield one(
        "relay: revoked between commit and sending", "sync/relay/keeper.py",
        "        if self.revoked:", "        if False:",
        f"{SYNC}test_relay_halves.py::test_revocation_between_commit_and_sending",
    )  # fmt: skip
    yield one(
        "relay: each counter once", "sync/relay/halves.py",
        "    if counter <= half.counter:", "    if False:",
        f"{SYNC}test_relay_halves.py::test_replayed_opening_is_refused",
    )  # fmt: skip
    yield one(
        "receipt: for what was asked", "sync/client.py",
        "        if receipt.what != what or receipt.address != addr:", "        if False:",
        f"{RELAY}receipts_are_not_interchangeable",
    )  # fmt: skip

    # Channels
    yield one(
        "envelope: signed by its signer", "sync/envelope.py",
        '    verify(fields["signer"], "env", outer["inner"], outer["sig"])\n', "",
        f"{ENVELOPES}envelope_signed_by_somebody_else", f"{ENVELOPES}every_bit_of_an_envelope_counts",
    )  # fmt: skip
    yield one(
        "envelope: for this channel", "sync/envelope.py",
        '    if fields["channel"] != channel:', "    if False:",
        f"{ENVELOPES}envelope_for_another_channel_under_the_same_key",
    )  # fmt: skip
    yield one(
        "envelope: its suite", "sync/envelope.py",
        '    need_suite(fields["suite"])\n', "",
        f"{ENVELOPES}unknown_or_lower_suite_of_an_envelope",
    )  # fmt: skip
    yield one(
        "channel: taken once", "vault/channel.py",
        "        if incoming.seq <= seq:", "        if False:",
        f"{ENVELOPES}equivocating_device",
    )  # fmt: skip
    yield one(
        "channel: nothing missing before", "vault/channel.py",
        "        if incoming.seq != seq + 1 or incoming.prev != head:", "        if False:",
        f"{ENVELOPES}reordered_envelopes", f"{RELAY}withheld_envelope_in_the_middle",
    )  # fmt: skip
    yield one(
        "channel: the right to edit", "vault/channel.py",
        '        if writer is None or writer.right != "edit":', "        if writer is None:",
        f"{ENVELOPES}writing_without_the_right_to_edit",
    )  # fmt: skip
    yield one(
        "channel: only the holder opens it", "vault/channel.py",
        "            if incoming.signer != self.issuer:",
        "            if False:",
        f"{ENVELOPES}edition_by_a_grantee",
    )  # fmt: skip
    yield one(
        "channel: a device's chain belongs to its signer", "vault/following.py",
        "        if (incoming.device, incoming.signer) != (device, me):", "        if incoming.device != device:",
        f"{ENVELOPES}self_addressed_envelope",
    )  # fmt: skip
    yield one(
        "channel: only the holder names an author", "vault/channel.py",
        '        if body["author"] and incoming.signer != self.issuer:', "        if False:",
        f"{ENVELOPES}author_named_by_a_grantee",
    )  # fmt: skip
    yield one(
        "channel: each actor has one signer", "vault/channel.py",
        "        if any(self.actors.get(item.change.actor, incoming.signer) != incoming.signer for item in fresh):",
        "        if False:",
        f"{VAULT}test_channel.py::test_nobody_writes_under_the_actor_of_another",
    )  # fmt: skip
    yield one(
        "replica: nobody writes under this device's actor", "vault/replica.py",
        "    if own and claim.actor == own:", "    if False:",
        f"{VAULT}test_replica.py::test_nobody_writes_under_this_devices_actor",
    )  # fmt: skip
    yield one(
        "channel: room for what waits", "vault/channel.py",
        "        if len(held) > MAX_PENDING or sum", "        if False and sum",
        f"{ENVELOPES}changes_that_wait_for_ever",
    )  # fmt: skip
    yield one(
        "chunk: only what is not compressed", "vault/chunk.py",
        "    if data[8] != CHANGE:", "    if False:",
        f"{PRODUCT}[change]",
    )  # fmt: skip

    # The devices of one holder
    yield one(
        "household: a row reads", "vault/hearing.py",
        "            believe(name, key, values, self._vault.identity)\n", "",
        f"{HOUSEHOLD}row_that_is_none[person-ababab]",
        f"{HOUSEHOLD}row_that_is_none[authority-ababab]",
        f"{HOUSEHOLD}row_that_is_none[given-ababab]",
        f"{HOUSEHOLD}row_that_is_none[relay-gopher]",
    )  # fmt: skip
    yield one(
        "household: a key is written in its one way", "vault/store/rows.py",
        '        if not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", part):', "        if False:",
        f"{HOUSEHOLD}row_that_is_none[file-zz]",
        f"{HOUSEHOLD}row_that_is_none[channel-zz]",
    )  # fmt: skip
    yield one(
        "household: openings of unknown accesses", "vault/trace.py",
        "            if opening.number not in given:\n                continue",
        "            if False:\n                continue",
        f"{HOUSEHOLD}opening_of_an_unknown_access",
    )  # fmt: skip
    yield one(
        "household: one mailbox over another", "vault/store/rows.py",
        "        if here is None and kind.where and self._other(kind, key):", "        if False:",
        f"{HOUSEHOLD}row_of_an_inbox_over_another_mailbox",
    )  # fmt: skip
    yield one(
        "household: the home relay stays", "vault/store/rows.py",
        'there | {"home": max(here["home"], there["home"])}', 'there',
        f"{HOUSEHOLD}home_relay_taken_away",
    )  # fmt: skip
    yield one(
        "household: the next channel where the last was", "vault/devices.py",
        "self._make_channel(channel.relay, roster.epoch)",
        "self._make_channel(self._vault.people.relay()[0], roster.epoch)",
        f"{HOUSEHOLD}home_relay_moved",
    )  # fmt: skip
    yield one(
        "household: every inbox closes at a turn", "vault/people.py",
        "in self._mailboxes.open_inboxes():", "in self._mailboxes.open_inboxes()[:1]:",
        f"{HOUSEHOLD}inbox_of_a_device_that_is_removed",
    )  # fmt: skip
    yield one(
        "household: room for the next epoch", "vault/hearing.py",
        "            if not 0 < step <= MAX_STEP:", "            if False:",
        f"{HOUSEHOLD}epoch_that_leaves_no_room",
    )  # fmt: skip
    yield one(
        "household: a turn leads to a mailbox of its own", "vault/membership.py",
        '                if tokens["epoch"] != roster.epoch or self._mailboxes.knows(tokens["address"]):',
        '                if False:',
        f"{HOUSEHOLD}turn_into_a_mailbox_that_is_none_of_its_own[channel]",
        f"{HOUSEHOLD}turn_into_a_mailbox_that_is_none_of_its_own[inbox]",
        f"{HOUSEHOLD}turn_into_a_mailbox_that_is_none_of_its_own[epoch]",
    )  # fmt: skip
    yield one(
        "household: nobody accuses a relay", "sync/devices.py",
        "            if not self._mailboxes.knows(seen[0]):", "            if False:",
        f"{HOUSEHOLD}lies_of_a_device_about_mailboxes_that_nobody_has",
    )  # fmt: skip
    yield one(
        "household: a relay that signs nothing ends no exchange", "sync/devices.py",
        "            except VerificationFailed as failure:  # it waits",
        "            except ZeroDivisionError as failure:  # it waits",
        f"{HOUSEHOLD}relay_that_signs_nothing[append]",
    )  # fmt: skip
    yield one(
        "household: places for removals", "vault/roster.py",
        " or (count > MAX_CHAIN - RESERVED and (adds or not removes))", "",
        f"{HOUSEHOLD}roster_filled_up_to_stay",
    )  # fmt: skip
    yield one(
        "household: what holds goes on", "vault/histories.py",
        "        if not goes_on and len(self)", "        if len(self)",
        f"{HOUSEHOLD}histories_filled_up_by_a_removed_device",
    )  # fmt: skip

    # The relay
    yield one(
        "relay: what a writer saw", "vault/outbox.py",
        "            if count >= position or (known is not None and known[0] != chain):", "            if False:",
        f"{RELAY}forked_relay",
    )  # fmt: skip
    yield one(
        "relay: what it signed before", "vault/outbox.py",
        "        if known is not None and known[0] != chain:", "        if False:",
        f"{RELAY}forked_relay_signs_against_itself",
    )  # fmt: skip
    yield one(
        "relay: no shorter history", "sync/client.py",
        "    if checkpoint.count < count:", "    if False:",
        f"{SYNC}test_client.py::test_rolled_back_relay_is_caught",
    )  # fmt: skip
    yield one(
        "relay: no shorter than it acknowledged", "vault/outbox.py",
        "        if known is not None and checkpoint.count < known[0]:", "        if False:",
        f"{RELAY}withheld_tail_that_was_acknowledged",
    )  # fmt: skip
    yield one(
        "relay: it shows what it signed", "sync/client.py",
        "    if count == seen.count and count < checkpoint.count:", "    if False:",
        f"{RELAY}withheld_tail",
    )  # fmt: skip
    yield one(
        "relay: its key", "sync/client.py",
        "        checkpoint.verify(self.verify_key, primitives.verify)", "        pass",
        f"{RELAY}another_relay_key",
    )  # fmt: skip

    # Damage
    yield one(
        "store: an emptied database is damage", "vault/store/connection.py",
        "                if tables == 0 and not create:", "                if False:",
        f"{VAULT}test_torn_wal.py::test_an_emptied_database_is_no_older_vault",
    )  # fmt: skip
    yield one(
        "store: an older copy is whole", "vault/vault.py",
        "    store.check()\n", "",
        f"{VAULT}test_torn_wal.py::test_an_older_copy_that_is_damaged_is_not_accepted",
    )  # fmt: skip
    yield one(
        "head: what is missing is noticed", "vault/vault.py",
        "                head.check()", "                pass",
        f"{VAULT}test_torn_wal.py::test_a_torn_log_loses_nothing_acknowledged",
    )  # fmt: skip
    yield one(
        "keyslots: whole on a disk that fills up", "vault/keys.py",
        '            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:',
        '            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", 0) as file:',
        f"{VAULT}test_io_faults.py::test_a_disk_that_takes_a_part_of_a_write_leaves_no_part_of_the_keyslots",
    )  # fmt: skip

    # The terminal
    yield one(
        "terminal: no escape sequences", "tui/render.py",
        '        elif mark in _JOINERS or unicodedata.category(mark) not in ("Cc", "Cf", "Cs", "Co", "Cn"):',
        "        else:",
        f"{TUI}test_cli_vault.py::test_terminal_escapes_never_reach_the_terminal",
    )  # fmt: skip


MUTATIONS = tuple(_list())


PASSES, FAILS = 0, 1  # how pytest ends; anything else is no verdict


def verdict(root: Path, test: str) -> str:
    """What this test says in the tree at `root`."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=120", test]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return {FAILS: "fails", PASSES: "STILL PASSES"}.get(done.returncode, f"DID NOT RUN\n{done.stdout[-1500:]}")


def main(words: list[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if all(word in mutation.name for word in words)]
    survived = ran = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist"))
        for mutation in chosen:
            kept = mutation.source(root)
            mutation.apply(root)
            for test in mutation.tests:
                began = time.perf_counter()
                said = verdict(root, test)
                ran, survived = ran + 1, survived + (said != "fails")
                spent = time.perf_counter() - began
                print(f"{mutation.name:46} {test.rpartition('::')[2]:70} {spent:5.1f} s {said}", flush=True)
            (root / mutation.file).write_text(kept)
    print(f"{len(chosen)} checks taken out one at a time, {ran} tests run, {ran - survived} failed as they must")
    return 1 if survived or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
