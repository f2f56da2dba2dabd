r"""What a message in PostgreSQL's log tells of access, whatever the form of the log.

Messages that tell of one, in the words of a server whose `lc_messages` is English::

    AUDIT: SESSION,4,1,READ,SELECT,TABLE,public.orders,"select * …",<not logged>        pgaudit
    statement: select * …                                                               log_statement
    execute <unnamed>: select * …                                                       log_statement
    duration: 0.812 ms  statement: select * …                                           log_min_duration_statement
    fastpath function call: "lo_open" (OID 952)                                         log_statement
    received replication command: BASE_BACKUP …                                         log_replication_commands
    connection authorized: user=b database=shop SSL enabled (protocol=TLSv1.3, …)       log_connections
    permission denied for table orders                                                  an error, with its statement
    password authentication failed for user "b"                                         a fatal error

All others (checkpoints, connections received and ended, durations alone …) tell none and are refused, for one reason.

*Nobody's word.* A user can write any message: `RAISE LOG 'AUDIT: …'` in PL/pgSQL. It comes with its context and its
statement, which PostgreSQL and pgaudit leave away from the messages above, so a message that has them is none of these.
Who acted is taken from the session where the log tells it, and from the message only where it does not.

*No content.* Statements, parameters, details and the texts of errors hold values of tables. Of a statement only its
command is read, and only if it is one of SQL's; of an error only its SQLSTATE.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.canonical import Object
from ledger.collect.members import AUTHENTICATION, DATASTORE_ACTIVITY, known, tls_version
from ledger.errors import MalformedInput


@dataclass(frozen=True, slots=True)
class Message:
    """A message and what the log tells beside it; None where it does not.

    `state` is the SQLSTATE, `command` the tag of what the session executes, `statement` the text that an error is of.
    """

    severity: str
    text: str
    state: str | None = None
    statement: str | None = None
    context: str | None = None
    user: str | None = None
    database: str | None = None
    address: str | None = None
    application: str | None = None
    command: str | None = None


def access_data(message: Message) -> Object:
    """The `data` of the access that a message tells, but for its digest. Raises `MalformedInput` if it tells none."""
    tellers = (_failure,) if message.severity in _FAILURES else (_audited, _stated, _connected)
    for tell in tellers:
        if (told := tell(message)) is not None:
            return known(
                **{
                    "principal": message.user or "unknown",
                    "principal_type": "role" if message.user or "principal" in told else None,
                    "resource": message.database,
                    "outcome": "allowed",
                    "source_address": message.address,
                    "user_agent": message.application,
                    "source_system": "postgresql",
                    "completeness": "unknown",
                    "class_uid": DATASTORE_ACTIVITY,
                    **told,
                }
            )
    raise MalformedInput("tells of no access: neither a statement, nor a connection, nor a refusal")


_FAILURES = frozenset({"ERROR", "FATAL", "PANIC"})


# --- pgaudit ------------------------------------------------------------------------------------------------------

_READ_ONLY = {"READ": True, "WRITE": False, "DDL": False, "ROLE": False}
"""Classes of pgaudit that only read, or that do not; of FUNCTION and MISC it depends."""


def _audited(message: Message) -> Object | None:
    """A line of pgaudit; its columns are those of its README, “Format”, with the number of rows after them or not."""
    if not message.text.startswith("AUDIT: ") or _is_raised(message):
        return None
    columns = split_csv_line(message.text.removeprefix("AUDIT: "))
    if columns is None or len(columns) not in (9, 10) or columns[0] not in ("SESSION", "OBJECT"):
        raise MalformedInput(
            "a line of pgaudit out of form", expected="SESSION or OBJECT, and 9 or 10 columns"
        )
    kind, command, object_name, statement = columns[3], columns[4], columns[6], columns[7]
    resource = "/".join(part for part in (message.database, _unquoted(object_name)) if part)
    told: Object = {
        "resource": resource or None,
        "source_system": "postgresql.pgaudit",
        "completeness": "best-effort",
    }
    if command == "???":  # PostgreSQL's tag of a command that it has none for, as of what a view does
        return _commanded(statement, message.command) | told
    if not re.fullmatch(r"[A-Z][A-Z ]{0,59}", command):
        raise MalformedInput("a line of pgaudit without its command", expected="such as SELECT")
    return {"action": _PRIVILEGES.get(command, command), "read_only": _READ_ONLY.get(kind), **told}


_PRIVILEGES = {"TRUNCATE TABLE": "TRUNCATE", "REFRESH MATERIALIZED VIEW": "MAINTAIN"}
"""Commands that have another name than the privilege that they need, by which grants call it."""


def _unquoted(name: str) -> str:
    """A qualified name without the quotes that SQL needs: `public."Order"` is `public.Order` in the catalogue."""
    return re.sub(r'"((?:[^"]|"")*)"', lambda quoted: quoted[1].replace('""', '"'), name)


_COLUMN = re.compile(r'(?:"((?:[^"]|"")*+)"|([^",\n]*+))(?:(,)|\Z)')


def split_csv_line(text: str) -> list[str] | None:
    """The columns of one CSV record, as PostgreSQL and pgaudit write it: a quote is doubled, and nothing else escaped.

    None if it is no such record. Unlike the standard library's it sets no limit to a column.
    """
    columns, at = [], 0
    while match := _COLUMN.match(text, at):
        columns.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        if match[3] is None:
            return columns
        at = match.end()
    return None


# --- statements ---------------------------------------------------------------------------------------------------

_STATEMENT = re.compile(
    r"(?:duration: [0-9.]+ ms  )?(?:statement|(execute) (?:fetch from )?.+?): (.*)", re.DOTALL
)
_FASTPATH = re.compile(r'fastpath function call: ".*" \(OID [0-9]+\)', re.DOTALL)
_REPLICATION = re.compile(r"received replication command: (.*)", re.DOTALL)


def _stated(message: Message) -> Object | None:
    """A statement that was sent. The name of a prepared one is the client's, so the session's command counts more."""
    if found := _REPLICATION.fullmatch(message.text):
        # The one message of these that PostgreSQL logs with its statement, which is the same text.
        is_own = message.context is None and message.statement in (None, found[1])
        return {"action": _replication_command(found[1])} if is_own else None
    if _is_raised(message):
        return None
    if _FASTPATH.fullmatch(message.text):
        return {"action": "FASTPATH"}
    if found := _STATEMENT.fullmatch(message.text):
        return _commanded(found[2], message.command, prepared=found[1] is not None)
    return None


def _is_raised(message: Message) -> bool:
    return message.context is not None or message.statement is not None


def _commanded(statement: str, tag: str | None, *, prepared: bool = False) -> Object:
    """Action of a statement, and whether it only reads; `SET+SELECT` where several were sent as one."""
    commands = list(dict.fromkeys(commands_of(statement)))
    running = (tag or "").partition(" ")[0]
    if running in _COMMANDS and (prepared or {"WITH", "unknown"}.issuperset(commands)):
        commands = [running]
    writes, reads = _WRITING.intersection(commands), _READING.issuperset(commands)
    return {
        "action": "+".join(commands) or "unknown",
        "read_only": False if writes else True if commands and reads else None,
    }


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


_READING = _words("SELECT SHOW TABLE VALUES")
_WRITING = _words("ALTER CREATE DELETE DROP GRANT INSERT MERGE REASSIGN REVOKE TRUNCATE UPDATE")
_COMMANDS = (
    _READING
    | _WRITING
    | _words(
        """
        ABORT ANALYZE BEGIN CALL CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY DEALLOCATE DECLARE DISCARD DO END EXECUTE
        EXPLAIN FETCH IMPORT LISTEN LOAD LOCK MOVE NOTIFY PREPARE REFRESH REINDEX RELEASE RESET ROLLBACK SAVEPOINT
        SECURITY SET START UNLISTEN VACUUM WITH
        """
    )
)
"""The first words of SQL's commands (PostgreSQL's documentation, “SQL Commands”)."""

_REPLICATION_COMMANDS = _words(
    """
    ALTER_REPLICATION_SLOT BASE_BACKUP CREATE_REPLICATION_SLOT DROP_REPLICATION_SLOT IDENTIFY_SYSTEM
    READ_REPLICATION_SLOT SHOW START_REPLICATION TIMELINE_HISTORY UPLOAD_MANIFEST
    """
)
"""Of the documentation's “Streaming Replication Protocol”; on such a connection SQL comes too."""


def _replication_command(text: str) -> str:
    first = (re.findall(r"\w+", text[:100]) or [""])[0].upper()
    return first if first in _REPLICATION_COMMANDS | _COMMANDS else "unknown"


# What does not end is taken to the end of the text, so that no part of it is looked at twice.
_TOKEN = re.compile(
    r"""
      (?P<gap> \s++ | --[^\n]*+ | /\*(?:.*?\*/|.*) | \( )
    | [eE]'(?:[^'\\]|\\.|'')*+'?                              # a string with escapes
    | (?:[bBnNxX]|[uU]&)?'(?:[^']|'')*+'? | "(?:[^"]|"")*+"?  # other strings, and quoted names
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]*+ )
    | (?P<end> ; )
    | \$(?P<tag>[A-Za-z_][A-Za-z0-9_]*+|)\$(?:.*?\$(?P=tag)\$|.*)
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def commands_of(text: str) -> Iterator[str]:
    """The first word of each statement in a text of SQL, in upper case; `unknown` for one that is no command.

    >>> list(commands_of("SET x = 'a;b'; (select 1) -- ; drop"))
    ['SET', 'SELECT']
    """
    at_start = True
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "end":
            at_start = True
        elif at_start and token.lastgroup != "gap":
            word = (token["word"] or "").upper()
            yield word if word in _COMMANDS else "unknown"
            at_start = False


# --- connections --------------------------------------------------------------------------------------------------

_AUTHORIZED = re.compile(
    r"(?P<replication>replication )?connection authorized: user=(?P<user>.*?)(?: database=(?P<database>.*?))?"
    r"(?: application_name=(?P<application>.*?))?"
    r"(?: SSL enabled \(protocol=(?P<protocol>[A-Za-z0-9.]+), cipher=(?P<cipher>[A-Za-z0-9_-]+), bits=[^()]*\))?"
    r"(?P<gss> GSS \([^()]*\))?",
    re.DOTALL,
)


def _connected(message: Message) -> Object | None:
    """A connection that was let in. No TLS in the message means that there was none, unless GSSAPI encrypts."""
    found = _AUTHORIZED.fullmatch(message.text)
    if found is None or _is_raised(message):
        return None
    plain = found["protocol"] is None and "encrypted=yes" not in (found["gss"] or "")
    return known(
        principal=message.user or found["user"],
        action="CONNECT" + (" REPLICATION" if found["replication"] else ""),
        resource=message.database or found["database"],
        tls_version="none" if plain else tls_version(found["protocol"]),
        cipher=found["cipher"],
        user_agent=message.application or found["application"],
        class_uid=AUTHENTICATION,
    )


# --- refusals and failures ----------------------------------------------------------------------------------------

_INSUFFICIENT_PRIVILEGE = "42501"
_NO_LOGIN = {"3D000", "53300", _INSUFFICIENT_PRIVILEGE}
"""SQLSTATEs beside class 28 that end a connection before it has begun: no such database, too many connections."""

_LOGIN_REFUSED = re.compile(
    r'.*authentication failed for user ".*"|no pg_hba\.conf entry for .*|pg_hba\.conf rejects .*'
    r'|role ".*" (?:does not exist|is not permitted to log in)|permission denied for database ".*"',
    re.DOTALL,
)
_NO_DATABASE = re.compile(r'database ".*" does not exist', re.DOTALL)
_DENIED = re.compile(
    r"(?:permission denied|must be owner|must be superuser|must have |new row violates row-level security).*",
    re.DOTALL,
)
"""For logs that do not tell the SQLSTATE: `%e` in the prefix, or `log_error_verbosity = verbose`."""


def _failure(message: Message) -> Object | None:
    """An error of a statement, or of a connection; others are the server's own."""
    if message.severity == "FATAL" and message.statement is None:
        return _login_failure(message)
    refused = message.state == _INSUFFICIENT_PRIVILEGE or (
        message.state is None and _DENIED.fullmatch(message.text) is not None
    )
    if message.statement is None and not refused:
        return None
    return {**_commanded(message.statement or "", message.command), **_failed(message, refused=refused)}


def _login_failure(message: Message) -> Object | None:
    state = message.state
    if state is None:
        refused = _LOGIN_REFUSED.fullmatch(message.text) is not None
        is_login = refused or _NO_DATABASE.fullmatch(message.text) is not None
    else:
        refused = state.startswith("28") or state == _INSUFFICIENT_PRIVILEGE
        is_login = refused or state in _NO_LOGIN
    if not is_login:
        return None
    return known(
        principal=message.user or _named("user", message) or _named("role", message),
        action="CONNECT",
        resource=message.database or _named("database", message),
        source_address=message.address or _named("host", message),
        tls_version="none" if message.text.endswith(", no encryption") else None,
        class_uid=AUTHENTICATION,
        **_failed(message, refused=refused),
    )


def _failed(message: Message, *, refused: bool) -> Object:
    return {"outcome": "refused" if refused else "failed", "reason": message.state}


def _named(what: str, message: Message) -> str | None:
    found = re.search(rf'\b{what} "([^"]+)"', message.text)
    return found and found[1]
