"""The command `doctor`: what is wrong with this installation, if anything."""

import typer

from ops.cli import options, screen


def doctor(as_json: options.Json = False) -> None:
    """Look at everything a campaign needs on this machine, and say what to do where something is missing.

    Exits with 1 if something is wrong, with 4 if Redis or Twilio can't be reached.

    Example: outreach doctor
    """
    from ops.cli.examination import examine

    findings = examine()
    if as_json:
        screen.answer_json([finding.as_dict() for finding in findings])
    else:
        table = screen.new_table(["", "what", "finding"])
        for one in findings:
            screen.add_row(
                table, one.mark, one.title, f"{one.sentence} {one.advice}".strip(), style=one.style
            )
        screen.print_table(table)
    failed = [one for one in findings if one.verdict == "wrong"]
    if failed:
        raise typer.Exit(4 if any(one.is_unreachable for one in failed) else 1)
