"""The Postgres login of `curate sql`: one that can SELECT and nothing else.

SET ROLE would not do: `set_config('role', 'none', …)`, called in a SELECT, takes it back, and what
is then run inside of a function such as query_to_xml has the rights of the login. So the reader is
a login of its own, named after the one that owns the tables, with a password derived from its
password; nothing has to be configured.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg
    from psycopg.sql import Composed
    from sqlalchemy import URL, Connection

_SUFFIX = "_reader"
_NAME_BYTES = 63  # longer names are cut by Postgres
_TEMPORARY_FILES = "2GB"


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


def connect_arguments(url: URL) -> dict[str, Any]:
    """What psycopg.connect takes to reach the Postgres of a URL as an engine of SQLAlchemy does."""
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    make: Any = PGDialect_psycopg
    return dict(make().create_connect_args(url)[1])


def connect_reader(where: Mapping[str, Any], **options: Any) -> psycopg.Connection[Any]:
    """A connection whose login can only read: the given one, or else the reader that was made for
    it.

    `where` names the login, or leaves that to libpq: PGUSER, PGPASSWORD, a service, ~/.pgpass.
    Raises ReaderMissing; psycopg.OperationalError when the given login gets no connection.
    """
    import psycopg

    from curate.configs.errors import ReaderMissing

    asked = {**options, **where}  # ?connect_timeout=… of a URL counts
    connection = psycopg.connect(**asked)
    if not (why := why_no_reader(connection)):
        return connection
    login, database = (
        connection.info.user,
        connection.info.dbname,
    )  # which is named after the login when left out
    name, password = reader_login(login, connection.info.password)
    connection.close()
    try:
        connection = psycopg.connect(
            **asked | {"user": name, "password": password, "dbname": database}
        )
    except psycopg.OperationalError as error:
        why = f"{login} is none, {why}; and {name} cannot log in: {str(error).splitlines()[0]}"
        raise ReaderMissing(why=why) from None
    if why := why_no_reader(connection):
        connection.close()
        raise ReaderMissing(why=f"{name} is none, {why}")
    return connection


def reader_url(url: str) -> str:
    """The URL, password included, of a login that can only read the database of a URL.

    Of Postgres it is one that psql and Grafana take too. Raises ReaderMissing, ServiceError.
    """
    from urllib.parse import quote

    from sqlalchemy import make_url

    given = make_url(url)
    if given.get_backend_name() == "sqlite":
        file = given.set(
            database=f"file:{quote(given.database or '')}", query={"mode": "ro", "uri": "true"}
        )
        return file.render_as_string().replace("file%3A", "file:", 1)
    return _with_login_of_reader(given).render_as_string(hide_password=False)


_LOGIN = {"user", "password", "passfile", "sslpassword", "dbname"}
_PLACE = {"host", "hostaddr", "service"}


def _with_login_of_reader(given: URL) -> URL:
    import psycopg

    from curate.configs.errors import ServiceError

    try:
        with connect_reader(connect_arguments(given), connect_timeout=10) as connection:
            info = connection.info
            user, password, database, host, port = (
                info.user,
                info.password,
                info.dbname,
                info.host,
                info.port,
            )
    except psycopg.OperationalError as error:
        raise ServiceError(what="The database", why=str(error).splitlines()[0]) from None
    query = {k: v for k, v in given.query.items() if k not in _LOGIN}
    if not given.host and not query.keys() & _PLACE:
        query |= {"host": host, "port": str(port)}
    return given.set(
        drivername="postgresql",
        username=user,
        password=password or None,
        database=database,
        query=query,
    )


def ensure_reader(connection: Connection) -> str:
    """Make the reader of this connection's login, or bring its rights up to date; Postgres only.

    Returns why it could not be done, or an empty text. The connection's transaction goes on either
    way.
    """
    import psycopg

    raw: Any = connection.connection.driver_connection
    try:
        with connection.begin_nested():
            return _ensure(raw)
    except psycopg.Error as error:
        return str(error).splitlines()[0]


def _ensure(raw: Any) -> str:
    user, superuser, may_create = raw.execute(
        "SELECT current_user, rolsuper, rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    name, password = reader_login(user, raw.info.password or "")
    exists = raw.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    if not exists and not may_create:
        return f"the login {user} may not create the login {name}"
    # the server's log shall not hold the password
    secret = (
        raw.pgconn.encrypt_password(password.encode(), name.encode()).decode() if password else None
    )
    statements = _role(name, secret, bool(exists)) if may_create else []
    limit = [
        _composed("ALTER ROLE {name} SET temp_file_limit = {limit}", name, limit=_TEMPORARY_FILES)
    ]
    for statement in [*statements, *_rights(raw, name), *(limit if superuser else [])]:
        raw.execute(statement)
    return ""


def _composed(statement: str, name: str, **literals: object) -> Composed:
    from psycopg import sql

    return sql.SQL(statement).format(
        name=sql.Identifier(name), **{k: sql.Literal(v) for k, v in literals.items()}
    )


def _role(name: str, secret: str | None, exists: bool) -> list[Composed]:
    word = "ALTER" if exists else "CREATE"
    return [_composed(word + " ROLE {name} LOGIN NOINHERIT PASSWORD {secret}", name, secret=secret)]


def _rights(raw: Any, name: str) -> list[Composed]:
    from psycopg import sql

    database, schema = raw.execute("SELECT current_database(), current_schema()").fetchone()
    there = {
        "database": sql.Identifier(database),
        "schema": sql.Identifier(schema),
        "name": sql.Identifier(name),
    }
    statements = (
        "GRANT CONNECT ON DATABASE {database} TO {name}",
        "GRANT USAGE ON SCHEMA {schema} TO {name}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {name}",
    )
    return [sql.SQL(s).format(**there) for s in statements]


# Why a login is more than a reader, in one row; NULL when it is none. Memberships count, for SET
# ROLE reaches them.
_WHY_NOT = """
WITH roles AS (
    SELECT oid, rolname, rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls AS powerful
    FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')
), tables AS (
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
)
SELECT COALESCE(
    (SELECT 'it may change other logins' FROM roles WHERE powerful LIMIT 1),
    (SELECT 'it belongs to ' || rolname FROM roles
     WHERE rolname LIKE 'pg\\_%' AND rolname NOT IN ('pg_read_all_data', 'pg_monitor', 'pg_read_all_stats') LIMIT 1),
    (SELECT 'it may write to ' || relname FROM roles, tables
     WHERE has_table_privilege(roles.oid, tables.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
        OR has_any_column_privilege(roles.oid, tables.oid, 'INSERT, UPDATE') LIMIT 1)
)
"""


def why_no_reader(raw: Any) -> str:
    """Why the login of a psycopg connection may do more than read, or an empty text."""
    return str(raw.execute(_WHY_NOT).fetchone()[0] or "")
