"""Judging calls from their recordings: the right class of failure, false alarms, onsets, poor audio, CPU and memory.

    python -m bench hearing [--calls N] [--seed S]     made calls, from seed S on
    python -m bench hearing --case SEED                one made call again, with all that was heard of it
    python -m bench hearing --corpus DIR               recordings from elsewhere; bench/hearing_corpus.py has the format
    python -m bench hearing --export DIR [--calls N]   writes made calls in that format
    python -m bench hearing --memory N                 judges N calls more and tells how memory grows

Calls are made by bench/call_corpus.py. The peer in the same run finds prompts by correlating log-mel spectra (bench/hearing_peer.py).
"""

import argparse
import resource
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bench import hearing_peer
from bench.call_corpus import made
from bench.call_line import FILLS, NOISES, Line
from bench.hearing_corpus import read_corpus, write_corpus
from earwitness.audio.analysis import analyse
from earwitness.audio.channels import ChannelError
from earwitness.audio.phrases import Phrases
from earwitness.audio.script import Result
from earwitness.model import Effect, Failure
from earwitness.telephony.findings import findings
from earwitness.telephony.spec import ERROR_PROMPTS, NO_KEY_PROMPTS

FIRST_SEED = 1_000_000
_WORST = 12  # wrong cases that are listed
_ORDER = (Effect.BLOCKED, Effect.DIVERTED, Effect.NUISANCE, Effect.NONE)
UNJUDGED = "not judged"
PHRASES = Phrases(ERROR_PROMPTS, NO_KEY_PROMPTS)


@dataclass(slots=True)
class Tally:
    """What was measured over calls. CPU in seconds."""

    right: int = 0
    failing: int = 0
    healthy: int = 0
    alarms: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    confusion: Counter = field(default_factory=Counter)
    late: list = field(default_factory=list)  # errors of onsets, seconds
    unheard: int = 0
    cpu: float = 0.0
    seconds: float = 0.0
    peer_late: list = field(default_factory=list)
    peer_missed: int = 0
    peer_false: int = 0
    peer_asked: int = 0
    our_missed: int = 0
    our_false: int = 0
    peer_cpu: float = 0.0


def judged(case):
    """Return the class of failure that is found, None if there is none, the report (None where it cannot be judged), and the CPU it took."""
    start = time.process_time()
    try:
        report = analyse(case.recording, case.script, case.library, PHRASES)
    except ChannelError:
        return UNJUDGED, None, time.process_time() - start
    took = time.process_time() - start
    found = sorted(findings(case.spec, report), key=lambda finding: _ORDER.index(finding.effect))
    return (found[0].failure if found else None), report, took


def measure(arguments=()):
    options = _options(arguments)
    if options.case is not None:
        yield from _replayed(options)
        return
    if options.export:
        cases = [made(options.seed + n) for n in range(options.calls)]
        write_corpus(options.export, cases)
        yield f"calls written to {options.export}", len(cases)
        return
    if options.memory:
        yield from _memory(options)
        return
    cases = read_corpus(options.corpus) if options.corpus else (made(options.seed + n) for n in range(options.calls))
    yield from _told(_tallied(cases))
    if not options.corpus:
        yield from _false_alarms(options)
        yield from _poor_audio(options)


def _options(arguments):
    parser = argparse.ArgumentParser(prog="python -m bench hearing")
    parser.add_argument("--calls", type=int, default=120)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    parser.add_argument("--case", type=int)
    parser.add_argument("--fault")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--export", type=Path)
    parser.add_argument("--memory", type=int, default=0)
    return parser.parse_args(list(arguments))


def _tallied(cases):
    tally = Tally()
    for case in cases:
        found, report, took = judged(case)
        _count(tally, case, found)
        tally.cpu, tally.seconds = tally.cpu + took, tally.seconds + case.recording.duration
        if report is not None:
            _time(tally, case, report)
            _compare(tally, case, report)
    return tally


def _count(tally, case, found):
    tally.confusion[case.failure, found] += 1
    if case.failure is None:
        tally.healthy += 1
        if found is not None:
            tally.alarms.append((case, found))
        return
    tally.failing += 1
    if found in case.acceptable:
        tally.right += 1
    else:
        tally.wrong.append((case, found))


def _time(tally, case, report):
    for place, onset in case.onsets.items():
        step = report.steps[place]
        if not _recognised(step):
            tally.unheard += step.result.value != "not_judged"
        else:
            tally.late.append(abs(step.at - onset))


def _recognised(step):
    """Whether the step's own prompt was heard, not what came in its place."""
    return step.delay is not None and step.result is not Result.CHANGED


def _compare(tally, case, report):
    """Ask the peer for every prompt that the script expects, and hold both against the truth: it is there where it has an onset."""
    start = time.process_time()
    heard = hearing_peer.log_mel(case.recording.samples[1 - report.our_channel])
    found = {}
    for place, step in enumerate(case.script):
        prompts = [prompt for text in step.expect for prompt in case.library.find(text)]
        if prompts:
            found[place] = max(hearing_peer.find(hearing_peer.log_mel(prompt.samples), heard) for prompt in prompts)
    tally.peer_cpu += time.process_time() - start
    for place, (score, frame) in found.items():
        ours, there = report.steps[place], place in case.onsets
        if ours.result.value == "not_judged" or (not there and "cut" in case.fault):
            continue
        tally.peer_asked += 1
        tally.our_missed += there and not _recognised(ours)
        tally.our_false += not there and _recognised(ours)
        told = score >= hearing_peer.THRESHOLD
        tally.peer_missed += there and not told
        tally.peer_false += not there and told
        if there and told:
            tally.peer_late.append(abs(frame * hearing_peer.HOP / hearing_peer.RATE - case.onsets[place]))


def _told(tally):
    share = tally.right / max(1, tally.failing)
    yield f"right class of failure, {tally.failing} failing calls (goal: 98 %)", f"{share:.1%}"
    yield f"false alarms, {tally.healthy} healthy calls", len(tally.alarms)
    yield from _onsets("onsets of prompts", tally.late)
    yield "expected prompts that were there and not recognised", tally.unheard
    yield "CPU, a call", f"{1000 * tally.cpu / max(1, tally.failing + tally.healthy):.0f} ms"
    yield "CPU, a minute of call (goal: 0.3 s)", f"{60 * tally.cpu / max(1.0, tally.seconds):.2f} s"
    yield from _onsets("peer (log-mel correlation): onsets", tally.peer_late)
    yield f"prompts missed, of {tally.peer_asked}: ours / peer's", f"{tally.our_missed} / {tally.peer_missed}"
    yield "prompts heard that were not there: ours / peer's", f"{tally.our_false} / {tally.peer_false}"
    yield (
        "peer's CPU, a minute of call, for the expected prompts alone",
        f"{60 * tally.peer_cpu / max(1.0, tally.seconds):.2f} s",
    )
    yield from _confusion(tally)
    for case, found in [*tally.alarms, *tally.wrong][:_WORST]:
        yield f"wrong: --case {case.name} ({case.fault})", f"{_name(case.failure)} -> {_name(found)}"


def _onsets(what, errors):
    if errors:
        median, p95 = (1000 * float(np.percentile(errors, at)) for at in (50, 95))
        yield f"{what}: error, {len(errors)} of them (goal: 10 / 50 ms)", f"{median:.0f} / {p95:.0f} ms"


def _confusion(tally):
    for failure in [None, *Failure]:
        row = {found: count for (truth, found), count in tally.confusion.items() if truth == failure}
        if row:
            others = ", ".join(
                f"{_name(found)} {count}"
                for found, count in sorted(row.items(), key=lambda p: -p[1])
                if found != failure
            )
            yield (
                f"  {_name(failure)}: right, else {others or '-'}"[:58],
                f"{row.get(failure, 0)} of {sum(row.values())}",
            )


def _name(failure):
    return "healthy" if failure is None else str(failure)


def _false_alarms(options):
    """Healthy calls at the limit: 27 dB over noise, 0.5 % of the packets lost."""
    count, alarms = options.calls // 2, []
    for n in range(count):
        random = np.random.default_rng(options.seed + n)
        line = Line(
            level=float(random.uniform(-26, -16)),
            snr=27.0,
            noise=str(random.choice(NOISES)),
            loss=0.005,
            mended=str(random.choice(FILLS)),
            seed=n,
        )
        case = made(options.seed + 500_000 + n, "healthy", line)
        found, _, _ = judged(case)
        if found is not None:
            alarms.append(f"{case.name}: {_name(found)}")
    yield f"false alarms, {count} healthy calls at 27 dB and 0.5 % loss", len(alarms)
    for alarm in alarms[:_WORST]:
        yield "  false alarm", alarm


def _poor_audio(options):
    """The verdict on the sound: 3 % or more lost, clipping, 10 dB, each against the same call on a clean line."""
    right, asked, wrong = 0, 0, []
    for n in range(options.calls // 4):
        seed = options.seed + 700_000 + n
        for name, line in _sounds(np.random.default_rng(seed)).items():
            _, report, _ = judged(made(seed, "healthy", line))
            poor = report is not None and report.quality is not None and report.quality.index < 2.6
            asked += 1
            right += poor == (name != "clean")
            if poor != (name != "clean"):
                wrong.append(f"{name} {seed}")
    yield f"poor sound told from good, {asked} calls (goal: 97 %)", f"{right / max(1, asked):.1%}"
    if wrong:
        yield "  wrong: " + ", ".join(wrong[:4]), len(wrong)


def _sounds(random):
    clean = Line(level=float(random.uniform(-26, -16)), snr=40.0, seed=int(random.integers(1 << 31)))
    return {
        "clean": clean,
        "loss": replace(clean, loss=float(random.choice([0.03, 0.04, 0.06])), mended=str(random.choice(FILLS))),
        "clipping": replace(clean, clipped=float(random.uniform(0.04, 0.12))),
        "10 dB": replace(clean, snr=10.0, noise=str(random.choice(["white", "pink", "babble"]))),
    }


def _memory(options):
    """Memory after each tenth of the calls: what Python holds, and the process."""
    cases = [made(options.seed + n) for n in range(20)]
    tracemalloc.start()
    for n in range(options.memory):
        judged(cases[n % len(cases)])
        if (n + 1) % max(1, options.memory // 10) == 0:
            held = tracemalloc.get_traced_memory()[0] / 1e6
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            yield f"after {n + 1} calls: held by Python / most of the process", f"{held:.1f} / {peak:.0f} MB"
    tracemalloc.stop()


def _replayed(options):
    case = made(options.case, options.fault)
    found, report, took = judged(case)
    yield f"{case.failure or 'healthy'}, {case.recording.duration:.1f} s", f"-> {_name(found)}"
    yield case.detail, f"{took:.2f} s CPU"
    for place, step in enumerate(report.steps if report else ()):
        at = "" if step.at is None else f" at {step.at:.2f}"
        truth = f" (truth {case.onsets[place]:.2f})" if place in case.onsets else ""
        yield f"{place} {step.step.title[:40]}{at}{truth} {step.note}", step.result.value
    if report and report.quality:
        yield str(report.quality), f"{report.quality.index:.1f}"
