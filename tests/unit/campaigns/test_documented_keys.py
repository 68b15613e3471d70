"""What the READMEs show of a definition is taken, and campaigns/README.md names every key of its newer sections."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from campaigns.campaign import FollowUp, Nightly, Replies, Window
from campaigns.definition import parse_definition

PROJECT = Path(__file__).parents[3]
EXAMPLE = (PROJECT / "campaigns/examples/renewal-reminder/campaign.toml").read_text()


def excerpts(readme: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```", (PROJECT / readme).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("readme", "count"), [("README.md", 1), ("campaigns/README.md", 2)])
def test_excerpts_are_right(readme: str, count: int) -> None:
    found = excerpts(readme)

    assert len(found) == count
    for excerpt in found:
        parse_definition(f"{EXAMPLE}\n{excerpt}", readme)


@pytest.mark.parametrize("part", [Window, FollowUp, Nightly, Replies])
def test_every_key_is_documented(part: type[BaseModel]) -> None:
    documented = (PROJECT / "campaigns/README.md").read_text()

    for name, field in part.model_fields.items():
        key = {"after_s": "after"}.get(name, field.alias or name)
        assert re.search(rf"`{key}`|^{key} = |`\[+{key}|\.{key}\]", documented, re.MULTILINE), key
