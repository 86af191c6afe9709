"""The SQL by which tests/servers.py empties a Postgres database that is to be used again."""

from __future__ import annotations

# everything of a database but its rows, as one hash: what a test may leave changed; views by their
# names, for they are made anew when columns of clips go
FORM = """
SELECT md5(string_agg(found, '|' ORDER BY found)) FROM (
    SELECT concat_ws(' ', CASE relkind WHEN 'v' THEN 0 ELSE c.oid END, relname, relkind, relacl,
        reloptions) FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', relname, attname, atttypid, attnotnull, attacl)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped
    UNION ALL SELECT concat_ws(' ', oid, conname, convalidated) FROM pg_constraint
    UNION ALL SELECT concat_ws(' ', oid, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat_ws(' ', oid, proname) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', oid, nspname, nspacl) FROM pg_namespace
        WHERE nspname NOT LIKE 'pg_%%temp_%%'
    UNION ALL SELECT concat_ws(' ', oid, defaclacl) FROM pg_default_acl
    UNION ALL SELECT datacl::text FROM pg_database WHERE datname = current_database()
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting s
        JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
    UNION ALL SELECT version_num FROM alembic_version
    UNION ALL SELECT 'too many columns were dropped' FROM pg_attribute
        WHERE attrelid = to_regclass('clips') GROUP BY attrelid HAVING max(attnum) > %s
) AS whole (found)
"""
OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
TABLES = """
SELECT quote_ident(relname) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""
RESTART = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE last_value IS NOT NULL
"""
# what a database of curate has before its datasets add columns: the last of clips, and its view
CLIPS = """
SELECT max(attnum), pg_get_viewdef(to_regclass('clips_view')) FROM pg_attribute
WHERE attrelid = to_regclass('clips')
"""
ADDED = """
SELECT quote_ident(attname) FROM pg_attribute
WHERE attrelid = to_regclass('clips') AND attnum > %s AND NOT attisdropped
"""
