"""A plan tells the command that has it run again."""

from __future__ import annotations

from keyturn.simulation.plan import Plan


def test_the_usual_plan_is_the_bare_command():
    assert Plan().command() == "keyturn simulate refresh"


def test_what_differs_is_an_option_and_the_database_is_not_named():
    plan = Plan(database_url="postgresql://u:secret@db/kt", kills=1000, grace_seconds=0.0)
    assert plan.command() == "keyturn simulate refresh --kills 1000 --grace 0 --database URL"


def test_one_of_three_clocks_is_right():
    assert [Plan().clock_off(slot) for slot in range(4)] == [0.0, 7200.0, -7200.0, 0.0]


def test_every_option_of_a_plan_is_one_of_the_command():
    from typer.main import get_command

    from keyturn.server.commands import app
    from keyturn.simulation.plan import OPTIONS

    command = get_command(app).commands["simulate"].commands["refresh"]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {f"--{name}" for name in OPTIONS} <= options
