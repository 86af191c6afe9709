"""What tells two pipelines apart."""

from __future__ import annotations

import pytest

from curate.configs.differences import differences, only_filters_differ

A = [{"stage": "probe"}, {"stage": "cut", "crf": 18}, {"filter": "f", "where": "a"}]


@pytest.mark.parametrize(
    ("changed", "what", "only_filters"),
    [
        (A, [], True),
        ([A[0], A[1] | {"crf": 20}, A[2]], ["cut.crf 18 → 20"], False),
        ([A[0], A[1], A[2] | {"where": "b"}], ["f.where a → b"], True),
        (A[:2], ["f removed"], True),
        ([*A, {"stage": "ocr"}], ["ocr added"], False),
        ([A[1], A[0], A[2]], ["the order of the steps"], False),
        ([A[0], A[2], A[1]], ["the order of the steps"], True),
    ],
)
def test_differences(changed: list[dict[str, object]], what: list[str], only_filters: bool) -> None:
    assert differences(A, changed) == what
    assert only_filters_differ(A, changed) is only_filters
