"""What deinterlace and hdr may be."""

from __future__ import annotations

import pytest
import yaml
from pydantic import ValidationError

from curate.tasks.cut import CutOptions
from curate.tasks.split import Split


@pytest.mark.parametrize("options", [CutOptions, Split.Options])
def test_off_is_read_as_yaml_gives_it(options: type[CutOptions]) -> None:
    assert options(**yaml.safe_load("deinterlace: off")).deinterlace == "off"
    assert options(**yaml.safe_load("deinterlace: 'off'")).deinterlace == "off"
    assert options().deinterlace == "auto" and options().hdr == "tonemap"
    with pytest.raises(ValidationError):
        options(**yaml.safe_load("deinterlace: on"))
