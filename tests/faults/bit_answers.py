"""What comes of a changed bit in each column of both files, and of an exchange with another row.

A new column fails the test until it has a row here. ``SERVED`` is what a database writer can do; each such row has
to be in the threat model.
"""

from typing import NamedTuple

from tests.faults.bits import AUDIT, CHECK, NONE, QUIET, REFUSED, SERVED, STOPPED, UNKNOWN, UNREADABLE


class Column(NamedTuple):
    """The outcomes, and why that is right, or what it gives to whoever writes to the file."""

    flipped: str
    swapped: str
    why: str


ANSWERS = {
    "vault.access_keys.id": Column(UNKNOWN, UNKNOWN, "what a key may do is sealed for its own id"),
    "vault.access_keys.box": Column(
        UNKNOWN,
        UNKNOWN,
        "what a key may do is sealed; an older box of the same key would be believed: a revocation undone (rollback)",
    ),
    "vault.access_keys.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "vault.alarms.sequence": Column(NONE, NONE, "an alarm is sent once more, or not at all"),
    "vault.alarms.delivered_at": Column(NONE, NONE, "an alarm is sent once more, or not at all"),
    "vault.answers.digest": Column(
        UNKNOWN, UNREADABLE, "the kept answer alone; the create is refused as a duplicate"
    ),
    "vault.answers.box": Column(
        UNREADABLE, UNREADABLE, "the kept answer alone; the create is refused as a duplicate"
    ),
    "vault.answers.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "vault.answers.expires_at": Column(
        QUIET, QUIET, "a request that is repeated is answered as before for longer, or done anew"
    ),
    "vault.audit_checkpoints.sequence": Column(NONE, NONE, "a checkpoint is signed; none is made here"),
    "vault.audit_checkpoints.statement": Column(NONE, NONE, "a checkpoint is signed; none is made here"),
    "vault.audit_details.sequence": Column(
        AUDIT, AUDIT, "what an event says in detail is bound to it by its digest"
    ),
    "vault.audit_details.box": Column(
        AUDIT, AUDIT, "what an event says in detail is bound to it by its digest"
    ),
    "vault.audit_details.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "vault.audit_end.one": Column(STOPPED, NONE, "no event is put behind an end that is not the vault's own"),
    "vault.audit_end.sequence": Column(
        STOPPED, NONE, "no event is put behind an end that is not the vault's own"
    ),
    "vault.audit_end.link": Column(
        STOPPED, NONE, "no event is put behind an end that is not the vault's own"
    ),
    "vault.audit_end.mac": Column(STOPPED, NONE, "no event is put behind an end that is not the vault's own"),
    "vault.audit_end.mac_version": Column(
        STOPPED, NONE, "no event is put behind an end that is not the vault's own"
    ),
    "vault.audit_events.sequence": Column(
        AUDIT, AUDIT, "each event is chained to the one before, under a key"
    ),
    "vault.audit_events.at": Column(AUDIT, AUDIT, "each event is chained to the one before, under a key"),
    "vault.audit_events.tenant": Column(AUDIT, NONE, "each event is chained to the one before, under a key"),
    "vault.audit_events.actor": Column(AUDIT, NONE, "each event is chained to the one before, under a key"),
    "vault.audit_events.action": Column(AUDIT, AUDIT, "each event is chained to the one before, under a key"),
    "vault.audit_events.outcome": Column(AUDIT, NONE, "each event is chained to the one before, under a key"),
    "vault.audit_events.user_token": Column(
        AUDIT, AUDIT, "each event is chained to the one before, under a key"
    ),
    "vault.audit_events.request_id": Column(
        AUDIT, NONE, "each event is chained to the one before, under a key"
    ),
    "vault.audit_events.purpose": Column(AUDIT, NONE, "each event is chained to the one before, under a key"),
    "vault.audit_events.revealed_version": Column(
        AUDIT, NONE, "each event is chained to the one before, under a key"
    ),
    "vault.audit_events.details_digest": Column(
        AUDIT, AUDIT, "each event is chained to the one before, under a key"
    ),
    "vault.audit_events.link": Column(AUDIT, AUDIT, "each event is chained to the one before, under a key"),
    "vault.audit_events.mac": Column(AUDIT, AUDIT, "each event is chained to the one before, under a key"),
    "vault.audit_events.mac_version": Column(
        AUDIT, NONE, "each event is chained to the one before, under a key"
    ),
    "vault.closed_versions.line": Column(
        QUIET, QUIET, "the fence of a rotation has a hole; only a process with an older keyring could use it"
    ),
    "vault.closed_versions.version": Column(
        QUIET, NONE, "the fence of a rotation has a hole; only a process with an older keyring could use it"
    ),
    "vault.documents.id": Column(UNKNOWN, UNKNOWN, "sealed with the content: the document is unknown"),
    "vault.documents.name": Column(
        UNKNOWN, UNREADABLE, "a box opens under its own name alone; a list leaves the document out"
    ),
    "vault.documents.owner": Column(UNKNOWN, UNKNOWN, "sealed with the content: the document is unknown"),
    "vault.documents.box": Column(
        UNREADABLE,
        UNREADABLE,
        "a box opens under its own name alone; an older box of the same document would be served (rollback)",
    ),
    "vault.documents.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "vault.documents.created_at": Column(
        UNKNOWN, UNKNOWN, "sealed with the content: the document is unknown"
    ),
    "vault.documents.updated_at": Column(SERVED, SERVED, "a time that is shown"),
    "vault.documents.expires_at": Column(
        UNKNOWN, UNKNOWN, "sealed with the content: the document is unknown"
    ),
    "vault.honey_tokens.token": Column(QUIET, QUIET, "a decoy is a decoy no more; nobody is told"),
    "vault.honey_tokens.suspends": Column(QUIET, QUIET, "a decoy is a decoy no more; nobody is told"),
    "vault.honey_tokens.planted_at": Column(QUIET, QUIET, "a decoy is a decoy no more; nobody is told"),
    "vault.key_versions.line": Column(
        REFUSED, REFUSED, "the keyring must be the one that the database was written with"
    ),
    "vault.key_versions.version": Column(
        REFUSED, REFUSED, "the keyring must be the one that the database was written with"
    ),
    "vault.key_versions.fingerprint": Column(
        REFUSED, REFUSED, "the keyring must be the one that the database was written with"
    ),
    "vault.key_versions.canary": Column(
        REFUSED, REFUSED, "the keyring must be the one that the database was written with"
    ),
    "vault.key_versions.created_at": Column(QUIET, QUIET, "shown by keys status alone"),
    "vault.key_versions.activated_at": Column(QUIET, QUIET, "shown by keys status alone"),
    "vault.key_versions.compromised_at": Column(QUIET, NONE, "shown by keys status alone"),
    "vault.key_versions.empty_since": Column(
        QUIET, QUIET, "begins a cool-down early; before a key is destroyed rows are counted and read anew"
    ),
    "vault.key_versions.destroyed_at": Column(
        REFUSED, NONE, "the keyring must be the one that the database was written with"
    ),
    "vault.key_versions.certificate": Column(QUIET, NONE, "a certificate proves itself by its signature"),
    "vault.key_versions.public_key": Column(
        QUIET, QUIET, "whose key signs has to be known from elsewhere (format.md, Certificate)"
    ),
    "vault.leases.chore": Column(QUIET, QUIET, "a chore is done twice, or a little later"),
    "vault.leases.holder": Column(QUIET, QUIET, "a chore is done twice, or a little later"),
    "vault.leases.until": Column(QUIET, QUIET, "a chore is done twice, or a little later"),
    "vault.migrations.name": Column(REFUSED, REFUSED, "a file of another program is not opened"),
    "vault.migrations.checksum": Column(REFUSED, REFUSED, "a file of another program is not opened"),
    "vault.migrations.applied_at": Column(QUIET, NONE, "read by nobody"),
    "vault.processes.id": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.processes.host": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.processes.pid": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.processes.started_at": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.processes.seen_at": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.processes.generation": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.processes.versions": Column(
        QUIET,
        QUIET,
        "what a process reports of itself lapses after seconds, and a rotation would wait or go on by the fence",
    ),
    "vault.profiles.id": Column(QUIET, QUIET, "the order of a walk, and nothing else"),
    "vault.profiles.token": Column(UNKNOWN, UNREADABLE, "a box opens for its own token alone"),
    "vault.profiles.box": Column(
        UNREADABLE,
        UNREADABLE,
        "a box opens in its own row alone; an older box of the same row would be served (rollback)",
    ),
    "vault.profiles.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "vault.profiles.revision": Column(SERVED, SERVED, "a lost update: If-Match is compared with it"),
    "vault.profiles.created_at": Column(SERVED, SERVED, "a time that is shown"),
    "vault.profiles.updated_at": Column(SERVED, SERVED, "a time that is shown"),
    "vault.profiles.expires_at": Column(
        SERVED, SERVED, "DANGEROUS: a person outlives the end of the profile, or is erased before it"
    ),
    "vault.profiles.erasing_at": Column(
        UNKNOWN, NONE, "the person is erased for good: a database writer can delete"
    ),
    "vault.profiles.sliding": Column(SERVED, SERVED, "DANGEROUS: a person's end is put off for longer"),
    "vault.profiles.ends_at": Column(SERVED, SERVED, "DANGEROUS: a person's end is put off for longer"),
    "vault.quarantine.store": Column(CHECK, QUIET, "a note is not counted"),
    "vault.quarantine.name": Column(QUIET, QUIET, "a note; the row it is about is judged by its own box"),
    "vault.quarantine.key_version": Column(
        QUIET, QUIET, "a note; the row it is about is judged by its own box"
    ),
    "vault.quarantine.cause": Column(QUIET, QUIET, "a note; the row it is about is judged by its own box"),
    "vault.quarantine.noted_at": Column(QUIET, QUIET, "a note; the row it is about is judged by its own box"),
    "vault.required_versions.version": Column(
        QUIET, QUIET, "the order in which tags are claimed during a rotation"
    ),
    "vault.reveals.key_id": Column(QUIET, QUIET, "the count of opened profiles, by which a key is throttled"),
    "vault.reveals.span": Column(QUIET, QUIET, "the count of opened profiles, by which a key is throttled"),
    "vault.reveals.bucket": Column(QUIET, QUIET, "the count of opened profiles, by which a key is throttled"),
    "vault.reveals.opened": Column(QUIET, QUIET, "the count of opened profiles, by which a key is throttled"),
    "vault.rotation_claim.one": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotation_claim.holder": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotation_claim.host": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotation_claim.pid": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotation_claim.what": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotation_claim.taken_at": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotation_claim.seen_at": Column(QUIET, NONE, "a claim of a process that is gone lapses"),
    "vault.rotations.id": Column(
        QUIET, QUIET, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.line": Column(
        QUIET, QUIET, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.by": Column(
        QUIET, NONE, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.began_at": Column(
        QUIET, QUIET, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.from_versions": Column(
        QUIET, NONE, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.to_version": Column(
        QUIET, NONE, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.finished_at": Column(
        QUIET, QUIET, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.outcome": Column(
        QUIET, NONE, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.counts": Column(
        QUIET, QUIET, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.rotations.digest": Column(
        QUIET, QUIET, "the journal, for operators; an unfinished one is looked for by the next rotation"
    ),
    "vault.tags.version": Column(REFUSED, NONE, "no tag may be under a key that nobody has"),
    "vault.tags.digest": Column(
        UNKNOWN, UNKNOWN, "a look-up by value finds nobody: the profile has to have the value itself"
    ),
    "vault.tags.field": Column(QUIET, QUIET, "which field it was: shown to nobody"),
    "vault.tags.token": Column(
        UNKNOWN, UNKNOWN, "a look-up by value finds nobody: the profile has to have the value itself"
    ),
    "vault.unlocks.digest": Column(
        QUIET, QUIET, "who may open what for a while is believed; made by hand it would be"
    ),
    "vault.unlocks.key_id": Column(
        QUIET, QUIET, "who may open what for a while is believed; made by hand it would be"
    ),
    "vault.unlocks.reason": Column(
        QUIET, QUIET, "who may open what for a while is believed; made by hand it would be"
    ),
    "vault.unlocks.expires_at": Column(
        QUIET, QUIET, "who may open what for a while is believed; made by hand it would be"
    ),
    "vault.value_tags.version": Column(REFUSED, NONE, "no tag may be under a key that nobody has"),
    "vault.value_tags.digest": Column(
        UNKNOWN, UNKNOWN, "a look-up by a card's token finds nothing: the value has to have the token itself"
    ),
    "vault.value_tags.field": Column(QUIET, NONE, "what was tagged: shown to nobody"),
    "vault.value_tags.name": Column(
        UNKNOWN, UNKNOWN, "a look-up by a card's token finds nothing: the value has to have the token itself"
    ),
    "sessions.answers.digest": Column(SERVED, UNREADABLE, "a login that is repeated is done anew"),
    "sessions.answers.box": Column(UNREADABLE, UNREADABLE, "the kept answer alone"),
    "sessions.answers.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "sessions.answers.expires_at": Column(
        QUIET, QUIET, "a login that is repeated is answered as before for longer, or done anew"
    ),
    "sessions.closed_versions.line": Column(QUIET, QUIET, "as in vault.db"),
    "sessions.closed_versions.version": Column(QUIET, NONE, "as in vault.db"),
    "sessions.epochs.user_token": Column(
        QUIET,
        UNKNOWN,
        "DANGEROUS with an old vault.db: an erased person is not remembered, or another may not log in",
    ),
    "sessions.epochs.epoch": Column(
        QUIET, NONE, "a login that is just being opened is refused, or one from before a revocation let in"
    ),
    "sessions.epochs.closed_at": Column(
        QUIET,
        UNKNOWN,
        "when it was; NULL would let an erased person's sessions be opened, were the profile there",
    ),
    "sessions.migrations.name": Column(REFUSED, REFUSED, "a file of another program is not opened"),
    "sessions.migrations.checksum": Column(REFUSED, REFUSED, "a file of another program is not opened"),
    "sessions.migrations.applied_at": Column(QUIET, NONE, "read by nobody"),
    "sessions.quarantine.store": Column(CHECK, QUIET, "a note is not counted"),
    "sessions.quarantine.name": Column(QUIET, QUIET, "a note; the row it is about is judged by its own box"),
    "sessions.quarantine.key_version": Column(
        QUIET, QUIET, "a note; the row it is about is judged by its own box"
    ),
    "sessions.quarantine.cause": Column(QUIET, QUIET, "a note; the row it is about is judged by its own box"),
    "sessions.quarantine.noted_at": Column(
        QUIET, QUIET, "a note; the row it is about is judged by its own box"
    ),
    "sessions.sessions.digest": Column(UNKNOWN, UNKNOWN, "sealed with the claims: the session is unknown"),
    "sessions.sessions.handle": Column(UNREADABLE, UNREADABLE, "claims open under their own handle alone"),
    "sessions.sessions.user_token": Column(
        UNKNOWN,
        SERVED,
        "sealed: the session is unknown; its handle, without claims, is in the other person's list",
    ),
    "sessions.sessions.box": Column(
        UNREADABLE,
        UNREADABLE,
        "claims open under their own handle alone; older ones under the same digest would be served (rollback)",
    ),
    "sessions.sessions.key_version": Column(REFUSED, NONE, "no row may name a key that nobody has"),
    "sessions.sessions.epoch": Column(QUIET, QUIET, "compared when a session is opened, and never again"),
    "sessions.sessions.lifetime": Column(UNKNOWN, UNKNOWN, "sealed with the claims: the session is unknown"),
    "sessions.sessions.idle_timeout": Column(
        UNKNOWN, UNKNOWN, "sealed with the claims: the session is unknown"
    ),
    "sessions.sessions.created_at": Column(
        UNKNOWN, UNKNOWN, "sealed with the claims: the session is unknown"
    ),
    "sessions.sessions.authenticated_at": Column(
        UNKNOWN, UNKNOWN, "sealed with the claims: the session is unknown"
    ),
    "sessions.sessions.last_seen_at": Column(
        QUIET, SERVED, "a time that is shown; one in the future is corrected at the next use"
    ),
    "sessions.sessions.expires_at": Column(
        SERVED, SERVED, "sealed: the session is unknown; the person's list shows the end that the file says"
    ),
    "sessions.sessions.idle_expires_at": Column(
        UNKNOWN,
        SERVED,
        "one later than the last use allows makes the session unknown, one before ends it early",
    ),
}
