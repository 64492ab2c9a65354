"""All commands: those of `main`, and those for which the command line has rooms of its own."""

from earwitness.cli import baselines, deliveries, hooks, incidents, quiet, replay, telephone
from earwitness.cli.main import app

__all__ = ["app"]

app.add_typer(incidents.app, name="incidents")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(hooks.app, name="hooks")
app.add_typer(quiet.maintenance, name="maintenance")
app.add_typer(quiet.silence, name="silence")
app.command("explain")(incidents.explain)
app.add_typer(baselines.app, name="baseline")
app.command("calibrate")(telephone.calibrate)
app.command("listen")(telephone.listen)
app.command("replay")(replay.replay)
