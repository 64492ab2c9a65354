"""What people do about test calls: calibrate a probe, accept what a prompt sounds like now, judge a recording."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from earwitness.model import Observation, Outcome
from earwitness.presentation import observation_json
from earwitness.telephony.baselines import FOLDER, Baselines, Proposal, UnknownWordsError
from earwitness.telephony.spec import CallSpec

if TYPE_CHECKING:
    from earwitness.config.schema import Config
    from earwitness.telephony.offline import Judged

ConfigPath = Annotated[Path, typer.Option("--config", help="A YAML file, or a folder of them.")]
ProbeName = Annotated[str, typer.Option(help="The call probe.")]
DataDir = Annotated[Path, typer.Option(help="Where the daemon keeps its data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_HERE = Path("earwitness-data")
_TRANSCRIPT = "call-transcript.json"  # in a bundle of evidence its hash stands before the name
_EXIT_FAILED, _EXIT_CONFIG, _EXIT_UNKNOWN = 1, 2, 3


# --- calibrate -------------------------------------------------------------------------------------------------------


def calibrate(
    config: ConfigPath,
    probe: ProbeName,
    data_dir: DataDir = _HERE,
    *,
    accept: Annotated[bool, typer.Option("--accept", help="Accept every new prompt at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Call once; measure each prompt's delay and length, and propose the prompts that no recording holds yet.

    Exits with 0 when the call went through, 1 when it did not, 3 when the monitor could not tell.
    """
    from earwitness.cli.once import CannotRunError  # noqa: PLC0415  Other commands start faster without.
    from earwitness.logs import SecretMask, set_up_logs  # noqa: PLC0415

    mask = SecretMask()
    set_up_logs(mask, "WARNING")
    loaded, spec = _call_of(config, probe)
    mask.learn(loaded)
    baselines = Baselines(data_dir / FOLDER)
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with Console(stderr=True).status(f"calling {spec.to} ..."):
            seen = asyncio.run(_once(loaded, probe, data_dir, baselines))
        proposed = [p for p in baselines.proposals() if p.probe == probe]
        accepted = [_accepted(baselines, p) for p in proposed] if accept else []
    except (CannotRunError, OSError) as error:
        _fail(str(error), _EXIT_UNKNOWN)
    timings = baselines.timings(probe, [step.title for step in spec.steps])
    if as_json:
        rows = {str(place): asdict(timing) for place, timing in timings.items()}
        result = {"observation": observation_json(seen, "evidence"), "timings": rows}
        _print_json({**result, "proposed": [asdict(p) for p in proposed], "accepted": accepted})
    else:
        _print_calibration(spec, seen, proposed, "" if accept else baselines.accepting(probe))
    raise typer.Exit({Outcome.OK: 0, Outcome.FINDING: _EXIT_FAILED}.get(seen.outcome, 0 if proposed else _EXIT_UNKNOWN))


def _accepted(baselines: Baselines, proposal: Proposal) -> str:
    try:
        return str(baselines.accept(proposal))
    except UnknownWordsError as error:
        _fail(str(error), _EXIT_FAILED)


async def _once(config: "Config", probe: str, data_dir: Path, baselines: Baselines) -> Observation:
    from earwitness.cli.once import Once  # noqa: PLC0415

    async with Once.of(config, data_dir=data_dir, baselines=baselines) as once:
        return await once.run(probe)


def _print_calibration(spec: CallSpec, seen: Observation, proposed: list[Proposal], accept: str) -> None:
    """Show what was heard; `accept`: the command that accepts what is new, empty where it was accepted at once."""
    new = {proposal.step: proposal for proposal in proposed}
    table = Table("step", "into the run", "lasted", "what was heard")
    for step, observed in zip(spec.steps, seen.steps, strict=False):
        what = observed.note
        if observed.name in new:
            words = f' "{new[observed.name].words}"' if new[observed.name].words else ""
            what = f"{'new' if accept else 'accepted'}{words}; {what}"
        table.add_row(step.title, f"{observed.started:.1f} s", f"{observed.duration:.1f} s", what)
    console = Console()
    console.print(table)
    for finding in seen.findings:
        console.print(f"{finding.failure}: {finding.message}", soft_wrap=True)
    if proposed and accept:
        console.print(f"To make the new prompts the baseline: {accept}", soft_wrap=True)


# --- listen ----------------------------------------------------------------------------------------------------------


def listen(
    recording: Annotated[Path, typer.Argument(help="A WAV file of a call: two channels, one of them ours.")],
    config: ConfigPath,
    probe: ProbeName,
    data_dir: DataDir = _HERE,
    *,
    transcript: Annotated[
        Path | None,
        typer.Option(
            help="The transcript that was kept with it, which says where keys were silenced; by default the one beside it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a recording by a probe's steps: 0 as expected, notices included, 1 with findings, 3 when it cannot be told."""
    loaded, spec = _call_of(config, probe)
    from earwitness.audio.channels import ChannelError  # noqa: PLC0415 - loads numpy
    from earwitness.audio.restoring import TranscriptError  # noqa: PLC0415
    from earwitness.audio.transcription.base import EngineError  # noqa: PLC0415
    from earwitness.audio.wav import WavError  # noqa: PLC0415
    from earwitness.audio.words import PromptError  # noqa: PLC0415
    from earwitness.telephony.hearing import UnusableError  # noqa: PLC0415
    from earwitness.telephony.offline import judge_recording  # noqa: PLC0415
    from earwitness.telephony.transcription import Transcription  # noqa: PLC0415

    baselines = Baselines(data_dir / FOLDER)
    folders = [f for f in (loaded.prompts, baselines.accepted) if f is not None and f.is_dir()]
    transcription = Transcription(loaded.transcription) if loaded.transcription else None
    try:
        kept = _kept_beside(recording, transcript)
        judged = judge_recording(
            recording.read_bytes(), spec, folders, transcription, baselines.superseded(probe), kept
        )
    except (WavError, TranscriptError, ChannelError, UnusableError, PromptError, EngineError) as error:
        _fail(f"{recording} cannot be judged: {error}", _EXIT_UNKNOWN)
    except OSError as error:
        _fail(f"{error.filename or recording} cannot be read: {error.strerror}", _EXIT_UNKNOWN)
    _tell(judged, as_json=as_json)
    raise typer.Exit({Outcome.OK: 0, Outcome.FINDING: _EXIT_FAILED}.get(judged.outcome, _EXIT_UNKNOWN))


def _tell(judged: "Judged", *, as_json: bool) -> None:
    if as_json:
        found = [
            {"failure": f.failure, "effect": f.effect, "step": f.step, "at": f.at, "message": f.message}
            for f in judged.findings
        ]
        _print_json({"findings": found, **judged.transcript})
    else:
        _print_judged(judged.transcript)
        for finding in judged.findings:
            Console().print(f"{finding.failure}: {finding.message}", soft_wrap=True)


def _kept_beside(recording: Path, transcript: Path | None) -> dict[str, Any] | None:
    """Return the transcript that was kept with the recording; None where there is none beside it, or several. Raises OSError."""
    beside = list(recording.parent.glob(f"*{_TRANSCRIPT}")) if recording.is_file() else []
    file = transcript or (beside[0] if len(beside) == 1 else None)
    if file is None:
        return None
    try:
        kept = json.loads(file.read_text("utf-8"))
    except ValueError:
        _fail(f"{file} is no transcript: it is not JSON", _EXIT_UNKNOWN)
    if not isinstance(kept, dict):
        _fail(f"{file} is no transcript: it is not a JSON object", _EXIT_UNKNOWN)
    return kept


def _print_judged(transcript: dict[str, Any]) -> None:
    table = Table("step", "result", "at", "delay", "score", "note")
    for step in transcript["steps"]:
        numbers = [("" if step[key] is None else f"{step[key]:.2f}") for key in ("at", "delay", "score")]
        table.add_row(step["step"], step["result"], *numbers, step["note"])
    Console().print(table)
    quality = transcript["quality"]
    if quality:
        defects = ", ".join(quality["defects"]) or "no defect"
        Console().print(f"quality index {quality['index']:.1f} of 5: {defects}")


def _call_of(path: Path, probe: str) -> "tuple[Config, CallSpec]":
    from earwitness.config.load import ConfigError, load_config  # noqa: PLC0415

    try:
        loaded = load_config(path)
    except ConfigError as error:
        _fail(str(error), _EXIT_CONFIG)
    calls = [name for name, spec in loaded.probes.items() if spec.call]
    found = loaded.probes.get(probe)
    if found is None or found.call is None:
        _fail(f"there is no call probe {probe}; there are {', '.join(calls) or 'none'}", _EXIT_CONFIG)
    return loaded, found.call


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False))


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
