"""The Postgres login of `curate sql`: one that can SELECT and nothing else.

SET ROLE would not do: `set_config('role', 'none', …)`, called in a SELECT, takes it back, and what
is then run inside of a function such as query_to_xml has the rights of the login. So the reader is
a login of its own, named after the one that owns the tables, with a password derived from its
password; nothing has to be configured.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.sql import Composable, Composed

from curate.configs.errors import ReaderMissing

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SUFFIX = "_reader"
_NAME_BYTES = 63  # longer names are cut by Postgres
_TEMPORARY_FILES = "2GB"

_WHO = (
    "SELECT current_user, rolsuper, rolsuper OR rolcreaterole FROM pg_roles "
    "WHERE rolname = current_user"
)
_ROLE = " ROLE {name} LOGIN NOINHERIT PASSWORD {secret}"
_RIGHTS = (
    "GRANT CONNECT ON DATABASE {database} TO {name}",
    "GRANT USAGE ON SCHEMA {schema} TO {name}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {name}",
)

# what each login may call, and what does more than read, be the transaction read-only or not
_BUSY = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
  AND (proname IN ('pg_logical_emit_message', 'pg_notify', 'pg_export_snapshot', 'txid_current',
                   'pg_current_xact_id', 'lo_creat', 'lo_create', 'lo_from_bytea')
       OR proname ~ '^pg_(try_)?advisory_')
"""
_WRITERS = """
SELECT r.rolname FROM pg_roles r WHERE r.rolcanlogin AND NOT r.rolsuper AND EXISTS (
    SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE'))
"""


def reader_login(user: str, password: str) -> tuple[str, str]:
    """Name and password of the reader that belongs to a login.

    The password is HMAC-SHA256 with the login's as the key: it can be computed from that, and not
    the other way round. It is empty when the login has none.
    """
    derived = (
        hmac.new(password.encode(), b"curate sql reader", hashlib.sha256).hexdigest()
        if password
        else ""
    )
    name = user.encode()[: _NAME_BYTES - len(_SUFFIX)].decode(errors="ignore")
    return name + _SUFFIX, derived


def connect_reader(given: Mapping[str, Any], **options: Any) -> psycopg.Connection[Any]:
    """A connection whose login can only read: the given one, or else the reader that was made for
    it.

    `given` names the login, or leaves that to libpq: PGUSER, PGPASSWORD, a service, ~/.pgpass.
    Raises ReaderMissing; psycopg.OperationalError when the given login gets no connection.
    """
    arguments = {**options, **given}  # ?connect_timeout=… of a URL counts
    connection = psycopg.connect(**arguments)
    if not (why := why_no_reader(connection)):
        return connection
    login = connection.info.user
    name, password = reader_login(login, connection.info.password)
    # a database that is not named is the one that has the name of the login
    reader = {"user": name, "password": password, "dbname": connection.info.dbname}
    connection.close()
    try:
        connection = psycopg.connect(**arguments | reader)
    except psycopg.OperationalError as error:
        why = f"{login} is none, {why}; and {name} cannot log in: {str(error).splitlines()[0]}"
        raise ReaderMissing(why=why) from None
    if why := why_no_reader(connection):
        connection.close()
        raise ReaderMissing(why=f"{name} is none, {why}")
    return connection


def ensure_reader(connection: Connection) -> str:
    """Make the reader of this connection's login, or bring its rights up to date; Postgres only.

    Returns why it could not be done, or an empty text. The connection's transaction goes on either
    way.
    """
    raw: Any = connection.connection.driver_connection
    try:
        with connection.begin_nested():
            user, superuser, may_create = raw.execute(_WHO).fetchone()
            name, password = reader_login(user, raw.info.password or "")
            exists = raw.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
            if not exists and not may_create:
                return f"the login {user} may not create the login {name}"
            if may_create:
                # the server's log shall not hold the password
                secret = (
                    raw.pgconn.encrypt_password(password.encode(), name.encode()).decode()
                    if password
                    else None
                )
                role = ("ALTER" if exists else "CREATE") + _ROLE
                raw.execute(_composed(role, name, secret=sql.Literal(secret)))
            names = raw.execute("SELECT current_database(), current_schema()").fetchone()
            database, schema = map(sql.Identifier, names)
            for right in _RIGHTS:
                raw.execute(_composed(right, name, database=database, schema=schema))
            if superuser:
                limit = "ALTER ROLE {name} SET temp_file_limit = {limit}"
                raw.execute(_composed(limit, name, limit=sql.Literal(_TEMPORARY_FILES)))
                _leave_functions_to_writers(raw)
            return ""
    except psycopg.Error as error:
        return str(error).splitlines()[0]


def _leave_functions_to_writers(raw: Any) -> None:
    """Let only logins that write to tables of this database call what does more than read.

    What every login may do cannot be taken from one alone.
    """
    every = sql.SQL(", ").join(sql.SQL(row[0]) for row in raw.execute(_BUSY).fetchall())
    raw.execute(sql.SQL("REVOKE EXECUTE ON FUNCTION {} FROM PUBLIC").format(every))
    for (writer,) in raw.execute(_WRITERS).fetchall():
        grant = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}")
        raw.execute(grant.format(every, sql.Identifier(writer)))


def _composed(statement: str, name: str, **fields: Composable) -> Composed:
    return sql.SQL(statement).format(name=sql.Identifier(name), **fields)


# why a login is more than a reader, or NULL; memberships count, for SET ROLE reaches them
_WHY_NOT = """
WITH roles AS (
    SELECT oid, rolname, rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls AS powerful
    FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')
), tables AS (
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'f')
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
)
SELECT COALESCE(
    (SELECT 'it may change other logins' FROM roles WHERE powerful LIMIT 1),
    (SELECT 'it belongs to ' || rolname FROM roles
     WHERE rolname LIKE 'pg\\_%'
       AND rolname NOT IN ('pg_read_all_data', 'pg_monitor', 'pg_read_all_stats') LIMIT 1),
    (SELECT 'it may write to ' || relname FROM roles, tables
     WHERE has_table_privilege(roles.oid, tables.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        OR has_any_column_privilege(roles.oid, tables.oid, 'INSERT, UPDATE') LIMIT 1)
)
"""


def why_no_reader(raw: Any) -> str:
    """Why the login of a psycopg connection may do more than read, or an empty text."""
    return str(raw.execute(_WHY_NOT).fetchone()[0] or "")
