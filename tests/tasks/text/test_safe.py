"""`clean: safe` mends what is broken and eats no word."""

from __future__ import annotations

import pytest
from english_words import get_english_words_set
from hypothesis import given
from hypothesis import strategies as st

from curate.tasks.text.safe import clean_safe

PARTS = [
    *"ab.,!?;:'\"<>&%#/ \n\t-=“’你\u200b",
    "&amp;",
    "amp;",
    "，",
    "！",
    "ﬁ",
    "ｶ",
    "ﾞ",
    "Ａ",
    "＆",
    "＜",
    "<b>",
    "<",
    "http://",
    "Ã©",
    "<!--",
    "-->",
    "<person>",
]
ODD = st.lists(st.sampled_from(PARTS)).map("".join)


def test_every_fourth_word_of_a_word_list_stays() -> None:
    words = sorted(get_english_words_set(["web2"]))
    assert len(words) > 200_000
    assert [word for word in words[::4] if clean_safe(word) != word] == []


def test_every_word_stays_within_a_text() -> None:
    words = sorted(get_english_words_set(["web2"]))
    text = ", ".join(words[::50])
    assert clean_safe(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Epsom salt", "downloading a file", "sky.cows graze on a hill.it is",
        "A shipping container, page 3",
        "NASA's X-15 at 5:30 p.m.", "100x200 jc6640 #12 @user", "a<b and c>d", "I <3 dogs",
        "<dog> runs", "50% off",
        "1+1=2 & more", "wait... what?!", "你好, мир, مرحبا", "rock 'n' roll", "a/b (c) [d] {e}",
        "www.shop.com",
        "x < y > z",
        "👩‍🚀 in space", "naïve café", "L'été «bonjour»",
        "一只狗，在跑！（快）：好？", "ﬁne waﬄes", "ｶﾞﾝﾀﾞﾑ", "ＡＢＣ１２",
    ],
)  # fmt: skip
def test_what_is_not_broken_stays(text: str) -> None:
    assert clean_safe(text) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("cafÃ© and itâ€™s", "café and it's"),  # wrong encoding
        ("tom &amp;amp; jerry &lt;3 caf&eacute;", "tom & jerry <3 café"),  # entities, twice over
        ("<p class='x'>a <b>bold</b> dog<br/></p>", "a bold dog"),
        ("a<!-- hidden -->b", "a b"),
        ("see http://x.y/z?q=1, then https://a.b.", "see, then."),
        ("a\x00b\x07c\u200bd\ufeffe\u00adf", "abcdef"),
        ("  a \t dog\r\n\u00a0runs\u3000far ", "a dog runs far"),
        ("“a” ‘b’ it´s", "\"a\" 'b' it's"),
        ('"A man walks."', "A man walks."),
        ('"a" and "b"', '"a" and "b"'),
        ("wow!!! really???  yes,, no;;", "wow! really? yes, no;"),
        ("wait....... what..", "wait... what."),
        ("a dog , a cat .", "a dog, a cat."),
        ("<person> and <Woman>", "person and Woman"),
        ("half \ud83d a character", "half a character"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_what_is_broken_is_mended(text: str, cleaned: str) -> None:
    assert clean_safe(text) == cleaned


def test_case_and_chinese_go_when_asked() -> None:
    assert clean_safe("A Dog 你好 Runs", lower=True) == "a dog 你好 runs"
    assert clean_safe("A Dog 你好 Runs かな", keep_cjk=False) == "A Dog Runs かな"


@given(st.one_of(st.text(), ODD), st.booleans(), st.booleans())
def test_cleaning_again_changes_nothing(text: str, lower: bool, keep_cjk: bool) -> None:
    cleaned = clean_safe(text, lower=lower, keep_cjk=keep_cjk)
    assert clean_safe(cleaned, lower=lower, keep_cjk=keep_cjk) == cleaned
    assert "\0" not in cleaned
    cleaned.encode()


def test_a_text_made_to_be_slow_is_not() -> None:
    for text in (
        '<a href="' * 3000,
        "&amp;" * 5000,
        "&" + "amp;" * 5000,
        "! " * 20_000,
        "<b " * 5000,
    ):
        assert len(clean_safe(text)) <= len(text)
