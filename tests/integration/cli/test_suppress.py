"""Tell whether `outreach suppress` says what it did, leaves nothing half done, and tells nobody else."""

import json
import os

from outreach_command import Outreach
from quick_command import QuickCommands


def test_list_that_is_imported_with_bad_lines_names_them_and_changes_nothing_the_second_time(
    give: QuickCommands, outreach: Outreach
) -> None:
    file = outreach.folder / "list.csv"
    file.write_text(
        "phone,channel,date\n07900900123,sms,2026-06-01\n12,,\n+447900900124,pigeon,\nAnn,chat,\n"
    )

    first = give("suppress", "import", str(file), "--region", "GB", code=1)
    again = give("suppress", "import", str(file), "--region", "GB", code=1)

    bad = [line.split(": ")[0] for line in first.splitlines()[:2]]
    assert bad == [f"{file}:3:1", f"{file}:4:2"]
    assert first.endswith("2 addresses put on the do-not-contact list; 2 lines left out, see above.\n")
    assert "0 addresses put on the do-not-contact list, 2 on it before; 2 lines left out" in again
    file.write_text("phone\n" + "12\n" * 25)
    bad = give("suppress", "import", str(file), code=1)
    assert bad.count(f"{file}:") == 20
    assert "… and 5 more lines that can't be read\n" in bad
    listed = json.loads(give("suppress", "list", "--json"))["entries"]
    assert [(one["channel"], one["address"]) for one in listed] == [("chat", "Ann"), ("sms", "+447900900123")]
    assert listed[1]["date"] == "2026-06-01T00:00:00+00:00"


def test_exported_list_is_for_its_owner_only_and_hashes_are_not_exported(
    give: QuickCommands, outreach: Outreach
) -> None:
    give("suppress", "add", "+447900900123", "whatsapp:+447900900124", "--reason", "asked for it")
    give("suppress", "add", "+447900900123", "--channel", "sms")
    copy = outreach.folder / "copy.csv"

    give("suppress", "export", "-o", str(copy))
    give("suppress", "hash", code=2)
    give("suppress", "hash", "--yes")

    assert copy.stat().st_mode & 0o777 == 0o600
    assert len(copy.read_text().splitlines()) == 4
    assert "only hashes are kept (3 addresses)" in give("suppress", "export", code=2)
    removed = give("suppress", "remove", "+447900900123", "--channel", "sms")
    assert "1 address still on it for any channel" in removed
    again = json.loads(give("suppress", "remove", "+447900900123", "+447900900125", "--json"))
    assert again == {"removed": 1, "unknown": 1, "still_listed": 0}
    imported = json.loads(give("suppress", "import", str(copy), "--json"))
    assert imported == {"new": 2, "known": 1, "left_out": 0}


def test_list_imported_by_mistake_is_taken_back_without_lifting_an_opt_out(give: QuickCommands) -> None:
    give("suppress", "add", "+447900900123", "--channel", "whatsapp", "--reason", "asked for it")
    give("suppress", "add", "+447900900123", "+447900900124")

    removed = give("suppress", "remove", "+447900900123", "+447900900124", "--channel", "any")

    assert "2 addresses taken off" in removed
    assert "1 address still on it for channels of their own" in removed
    listed = json.loads(give("suppress", "list", "--json"))["entries"]
    assert [(one["channel"], one["address"]) for one in listed] == [("whatsapp", "+447900900123")]


def test_address_that_cannot_be_read_takes_none_of_the_others_along(
    give: QuickCommands, outreach: Outreach
) -> None:
    refused = give("suppress", "add", "+447900900123", "07900900124", code=2)

    assert "give --region" in refused
    assert "is no channel" in give("suppress", "add", "+447900900123", "--channel", "fax", code=2)
    assert give("suppress", "list") == "Nobody is on the do-not-contact list.\n"
    nowhere = str(outreach.folder / "nowhere" / "list.csv")
    assert "No such file or directory" in give("suppress", "export", "-o", nowhere, code=2)
    logs = "".join(path.read_text() for path in (outreach.home / "logs").glob("*"))
    assert "790090" not in logs


def test_reason_in_an_encoding_that_is_not_utf_8_is_kept_as_far_as_it_can_be(give: QuickCommands) -> None:
    give("suppress", "add", "+447900900123", "--reason", os.fsdecode(b"caf\xe9"))

    (entry,) = json.loads(give("suppress", "list", "--json"))["entries"]
    assert entry["reason"] == "caf?"
