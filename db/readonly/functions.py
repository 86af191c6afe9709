"""What a statement of `curate sql` on Postgres may call: functions that only compute.

A server has some 3,000 functions, and some of them write to its log, notify or lock. So whatever
is not listed is refused.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlglot import TokenType, exp

FUNCTIONS = frozenset(
    """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp
    cume_dist dense_rank every first_value grouping json_agg json_object_agg jsonb_agg
    jsonb_object_agg lag last_value lead max median min mode nth_value ntile percent_rank
    percentile_cont percentile_disc quantile rank regr_avgx regr_avgy regr_count regr_intercept
    regr_r2 regr_slope regr_sxx regr_sxy regr_syy row_number stddev stddev_pop stddev_samp
    string_agg sum var_pop var_samp variance

    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd
    cosh cot cotd degrees div erf erfc exp factorial floor gcd lcm ln log log10 min_scale mod pi
    power pow radians random random_normal round scale sign sin sind sinh sqrt tan tand tanh
    trim_scale trunc width_bucket

    ascii bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to
    decode encode format get_bit get_byte initcap left length lower lpad ltrim md5 normalize
    octet_length overlay parse_ident position quote_ident quote_literal quote_nullable regexp_count
    regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384
    sha512 split_part starts_with string_to_array string_to_table strpos substr substring to_hex
    translate trim unistr upper

    age clock_timestamp current_date current_time current_timestamp date_add date_bin date_part
    date_subtract date_trunc extract isfinite justify_days justify_hours justify_interval localtime
    localtimestamp make_date make_interval make_time make_timestamp make_timestamptz now
    statement_timestamp timeofday timezone to_char to_date to_number to_timestamp
    transaction_timestamp

    coalesce greatest least nullif num_nonnulls num_nulls cast convert

    array_to_json json_array json_array_elements json_array_elements_text json_array_length
    json_build_array json_build_object json_each json_each_text json_exists json_extract_path
    json_extract_path_text json_object json_object_keys json_populate_record
    json_populate_recordset json_query json_scalar json_serialize json_strip_nulls json_to_record
    json_to_recordset json_typeof json_value jsonb_array_elements jsonb_array_elements_text
    jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text
    jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys
    jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set
    jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json
    to_json to_jsonb

    array_append array_cat array_dims array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_string array_upper cardinality
    generate_series generate_subscripts isempty trim_array unnest

    bit_count gen_random_uuid hashtext num_nulls phraseto_tsquery plainto_tsquery to_tsquery
    to_tsvector ts_headline ts_rank ts_rank_cd websearch_to_tsquery

    col_description current_catalog current_database current_role current_schema current_schemas
    current_setting current_user format_type has_table_privilege inet_server_addr obj_description
    pg_column_size pg_database_size pg_get_constraintdef pg_get_indexdef pg_get_viewdef
    pg_indexes_size pg_postmaster_start_time pg_relation_size pg_size_bytes pg_size_pretty
    pg_table_size pg_total_relation_size pg_typeof session_user to_regclass version

    bool date float4 float8 int2 int4 int8 text
    """.split()  # noqa: SIM905
)
# what else may stand before a parenthesis: words of the language, and types with a length
WORDS = frozenset(
    """
    all and any array as between bit by case char character cross cube decimal distinct else end
    except exists filter float from group having ilike in intersect interval is join lateral like
    limit materialized not numeric offset on only or over recursive rollup row rows select sets
    similar some then time timestamp timestamptz to union using values varchar varying when where
    with zone
    """.split()  # noqa: SIM905
)
_NO_NAMES = {TokenType.STRING, TokenType.NUMBER}


def forbidden_call(tokens: Sequence[Any], tree: Any) -> str | None:
    """The name of a function that a statement calls and must not, or None.

    Whatever stands before a parenthesis is taken for a function, unless it is a word of the
    language, or the name that the statement gives to a table with its columns: `t(a, b)`.
    """
    named = Counter(
        alias.name.lower() for alias in tree.find_all(exp.TableAlias) if alias.args.get("columns")
    )
    for token, following in itertools.pairwise(tokens):
        if following.token_type != TokenType.L_PAREN or token.token_type in _NO_NAMES:
            continue
        quoted = token.token_type == TokenType.IDENTIFIER
        name = str(token.text) if quoted else token.text.split()[-1].lower()
        if not quoted and not name.replace("_", "").isalnum():
            continue  # an operator, a comma, another parenthesis
        if named[name.lower()]:
            named[name.lower()] -= 1
        elif name not in FUNCTIONS and (quoted or name not in WORDS):
            return name
    return None
