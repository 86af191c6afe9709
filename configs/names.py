"""Names that come near one that is not known: for messages about what someone typed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names nearest to another one, best first; letters count alike in either case.

    Where none is near, those that begin with it.
    Never the name itself: whoever asks knows that it is wrong.
    """
    by_lower = {other.lower(): other for other in known if other != name}
    if name.lower() in by_lower:
        return [by_lower[name.lower()]]
    near = difflib.get_close_matches(name.lower(), sorted(by_lower), count, 0.6)
    longer = sorted((n for n in by_lower if name and n.startswith(name.lower())), key=len)
    return [by_lower[other] for other in (near or longer)[:count]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean a or b?)` to go behind a wrong name; empty when no known name is near."""
    near = nearest(name, known)
    return f" (did you mean {' or '.join(near)}?)" if near else ""
