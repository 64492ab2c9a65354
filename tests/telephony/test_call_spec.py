import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from earwitness.model import Effect
from earwitness.probes.call import CallSpec
from earwitness.telephony.findings import planned
from earwitness.telephony.steps import mask_keys
from earwitness.telephony.twiml import Timing, compile_plan, say_twiml, spoken_length

TO = "+12025550199"
CARD = "4242424242424242"


def call(*steps, **rest):
    return CallSpec.model_validate({"to": TO, "steps": list(steps), **rest})


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\ufffe", "\uffff"])
def test_what_no_script_can_hold_is_refused(character):
    with pytest.raises(ValidationError, match=f"U\\+{ord(character):04X}, which cannot be said"):
        call({"say": f"one{character}two"}, {"listen": "5s"})


@pytest.mark.parametrize("words", ["one\ttwo\n", "Zürich", "東京", "\U0001f600 <&> \ufffd"])
def test_what_is_said_makes_a_script_that_parses(words):
    script = ET.fromstring(compile_plan(call({"say": words}, {"listen": "5s"})).twiml)
    assert script.find("Say").text == words


def test_our_words_are_said_in_a_language_and_a_voice():
    spec = call({"say": "Beratung"}, {"listen": "5s"}, language="de-DE", voice="Polly.Vicki", announce="always")
    for script in (compile_plan(spec).twiml, say_twiml("Beratung", spec.manner)):
        assert {(s.get("language"), s.get("voice")) for s in ET.fromstring(script).iter("Say")} == {
            ("de-DE", "Polly.Vicki")
        }
    plain = call({"say": "advice"}, {"listen": "5s"})
    assert ET.fromstring(compile_plan(plain).twiml).find("Say").attrib == {}


@pytest.mark.parametrize(
    "wrong", [{"language": 'de"><Hangup/>'}, {"language": "German"}, {"voice": 'a" b'}, {"voice": ""}]
)
def test_no_language_or_voice_is_more_than_a_name(wrong):
    with pytest.raises(ValidationError, match="String should match pattern"):
        call({"say": "advice"}, {"listen": "5s"}, **wrong)


@pytest.mark.parametrize(
    ("announce", "steps", "said"),
    [
        ("auto", [{"listen": "5s"}], False),
        ("auto", [{"hold": "Welcome"}], True),
        ("auto", [{"hold": "Welcome"}, {"hang_up": True}], False),
        ("always", [{"listen": "5s"}], True),
        ("always", [{"listen": "5s"}, {"hang_up": True}], False),
        ("never", [{"hold": "Welcome"}], False),
    ],
)
def test_people_are_told_what_this_is_where_they_may_answer(announce, steps, said):
    spec = call(*steps, announce=announce)
    assert (spec.statement in compile_plan(spec).twiml) is said


def test_the_call_of_the_contract_is_understood():
    spec = call(
        {"expect": "Welcome to Acme", "within": {"minor": "3s", "major": "8s"}},
        {"press": "2"},
        {
            "expect": ["Please enter your card number", "Card number please"],
            "misroute": "Lost cards",
            "effect": "diverted",
        },
        {"press": f"{CARD}#"},
        {"listen": "5s"},
        {"say": "representative"},
        {"pause": "2s"},
        quality={"minor": "2.5"},
        **{"from": "+12025550143"},
    )
    assert [step.verb for step in spec.steps] == ["expect", "press", "expect", "press", "listen", "say", "pause"]
    assert spec.steps[0].limits == (3.0, 8.0)
    assert spec.steps[2].misroute == {"": ("Lost cards",)}
    assert spec.steps[2].effect is Effect.DIVERTED
    assert (spec.from_, spec.quality.minor, spec.ring_timeout) == ("+12025550143", 2.5, 30.0)


def test_card_numbers_show_nowhere_but_in_the_script_for_the_carrier():
    spec = call({"press": f"{CARD}#"}, {"listen": "5s"})
    plan = compile_plan(spec)
    assert CARD in plan.twiml
    for shown in (
        repr(spec),
        str(spec),
        spec.model_dump_json(fallback=str),
        spec.steps[0].title,
        plan.masked,
        repr(plan),
    ):
        assert "42424242" not in shown
    assert spec.steps[0].title == "press ************4242#"


def test_a_mistyped_card_number_is_not_in_the_error():
    with pytest.raises(ValidationError) as caught:
        call({"press": f"{CARD}x"})
    assert "4242" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("2", "2"),
        ("ww1#", "ww1#"),
        ("1234#", "****#"),
        ("123", "***"),
        (f"{CARD}#", "************4242#"),
        ("12w34", "**w**"),
        ("A1B2", "****"),
        ("AB", "AB"),
        ("A1B2C3D4#", "********#"),
    ],
)
def test_masks_keep_menu_choices_and_the_last_four_of_cards(keys, shown):
    assert mask_keys(keys) == shown


PIECES = [{"press": CARD[at : at + 2]} for at in range(0, 16, 2)]


@pytest.mark.parametrize("between", [(), ({"pause": "1s"},), ({"expect": "Go on", "optional": True},)])
def test_a_number_pressed_in_pieces_shows_nowhere_but_in_the_script_for_the_carrier(between):
    pieces = [step for piece in PIECES for step in (piece, *between)]
    spec = call({"press": "2"}, {"expect": "Your card"}, *pieces, {"press": "#"}, {"expect": "Thank you"})
    titles = [step.title for step in spec.steps if step.press]
    assert titles == ["press 2", *["press **"] * 8, "press #"]
    assert "42" not in compile_plan(spec).masked
    assert compile_plan(spec).twiml.count('digits="42"') == 8


def test_choices_in_menus_are_shown_unless_they_are_said_to_be_secret():
    spec = call(
        {"press": "1"}, {"pause": "1s"}, {"press": "23"}, {"expect": "Your PIN"}, {"press": "9", "secret": True}
    )
    assert [step.title for step in spec.steps if step.press] == ["press 1", "press 23", "press *"]


@pytest.mark.parametrize("words", ["4242.4242.4242.4242", "4242,\n4242, 4242,\t4242", "4242/4242/4242/4242"])
def test_a_card_number_that_is_said_is_masked_whatever_stands_between_its_digits(words):
    spec = call({"say": words}, {"listen": "5s"})
    assert spec.steps[0].title == "say ****4242"
    assert "4242/4242" not in compile_plan(spec).masked


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({}, "no verb"),
        ({"expect": "a", "press": "1"}, "expect and press; write exactly one"),
        ({"press": "1", "within": {"major": "3s"}}, "within belongs to an expect or hold or silence step"),
        ({"pause": "2s", "misroute": "x"}, "misroute belongs to an expect or hold step"),
        ({"press": "1;2"}, "press takes 1 to 64"),
        ({"press": "ww"}, "names no key"),
        ({"pause": "5"}, "not a duration"),
        ({"listen": "1h"}, "1s to 600s"),
        ({"expect": []}, "expect is empty"),
        ({"expect": "x", "within": {"minor": "9s", "major": "3s"}}, "minor is above major"),
        ({"expect": "x", "within": {"major": "10m"}}, "1s to 120s"),
        ({"shout": "x"}, "Extra inputs"),
        ({"expect": "***"}, "holds no words"),
        ({"hold": ""}, "at least 1"),
        ({"hang_up": "false"}, "hang_up takes true"),
        ({"silence": "60s"}, "0.3s to 20s"),
        ({"hold": "x", "within": {"major": "1h"}}, "1s to 840s"),
        ({"hold": "x", "optional": "true"}, "optional belongs to an expect step; this one is a hold step"),
        ({"expect": "x", "match": {"minor": "50%", "major": "60%"}}, "match.major is above match.minor"),
        ({"expect": "x", "misroute": {"lost cards": ""}}, "at least 1"),
        ({"expect": ["Good day.", "good  day"]}, "stands twice in this step"),
        ({"expect": "Sales", "misroute": {"lost cards": "sales"}}, "stands twice in this step"),
        ({"pause": "2s", "effect": "nuisance"}, "effect belongs to an expect or hold"),
        ({"expect": "x", "optional": "true"}, "it would always pass"),
        ({"press": "2"}, "it would always pass"),
    ],
)
def test_a_bad_step_says_what_is_wrong(step, said):
    with pytest.raises(ValidationError, match=said):
        call(step)


@pytest.mark.parametrize(
    "number", ["+911", "+112", "+1911", "+44999", "+61000", "+19005551234", "+449091234567", "+123456", "+33112"]
)
@pytest.mark.parametrize("key", ["to", "from"])
def test_emergency_short_and_premium_numbers_do_not_load(number, key):
    with pytest.raises(ValidationError, match=r"emergency|short code|premium|not a telephone number"):
        call({"pause": "1s"}, **{key: number})


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+870773123456", "Inmarsat"),
        ("+88216123456", "satellite prices"),
        ("+8835100123456", "satellite prices"),
        ("+881612345678", "satellite prices"),
        ("+447012345678", "a personal number"),
    ],
)
def test_numbers_that_cost_as_much_as_premium_ones_do_not_load(number, said):
    with pytest.raises(ValidationError, match=said):
        call({"listen": "1s"}, to=number)


@pytest.mark.parametrize("number", ["+4918012345", "+18005551234", "+447911123456"])
def test_numbers_of_shared_or_no_cost_load(number):
    assert call({"listen": "1s"}, to=number).to == number


@pytest.mark.parametrize("number", ["12025550199", "tel:+12025550199", "+1 202 555 0199", "+1202555019x", ""])
def test_other_spellings_do_not_load(number):
    with pytest.raises(ValidationError, match=r"E\.164"):
        call({"pause": "1s"}, to=number)


def test_a_plan_longer_than_the_call_may_be_does_not_load():
    with pytest.raises(ValidationError, match="above length_limit"):
        call({"pause": "100s"}, {"listen": "5s"}, length_limit="60s")


def test_a_script_beyond_the_carriers_limit_is_refused_not_cut():
    with pytest.raises(ValidationError, match="characters of TwiML; Twilio takes 4000"):
        call(*[{"say": "&" * 500}] * 2, {"listen": "5s"}, length_limit="15m")


STEPS = (
    {"expect": "Hello", "within": {"minor": "4s"}},
    {"press": "w1#"},
    {"say": "a < b & c"},
    {"listen": "2.5s"},
    {"expect": "Bye", "within": {"major": "5s"}},
)


def test_what_a_step_needs_is_the_script():
    plan = compile_plan(call(*STEPS), prompt_length={"Hello": 2.2, "Bye": 1.0}.get)
    assert plan.twiml == (
        '<Response><Pause length="8"/><Play digits="w1#"/><Say>a &lt; b &amp; c</Say><Pause length="12"/><Hangup/></Response>'
    )
    assert plan.waits == (8, 0, 0, 3, 7)
    assert 21 < plan.seconds < 24


def test_pauses_are_taken_from_what_earlier_calls_measured():
    timings = {0: Timing(delay=0.4, length=2.0), 4: Timing(delay=1.0, length=1.0)}
    plan = compile_plan(call(*STEPS), timings=timings)
    assert plan.waits == (5, 0, 0, 3, 7)  # the last prompt keeps its major limit: nothing waits for us


def test_a_measured_delay_never_passes_the_major_limit():
    steps = ({"expect": "Hello", "within": {"major": "5s"}}, {"press": "1"})
    assert compile_plan(call(*steps), timings={0: Timing(delay=30.0, length=1.0)}).waits == (7, 0)


def test_a_path_of_sixty_steps_fits():
    steps = [s for n in range(30) for s in ({"expect": f"Prompt number {n}"}, {"press": str(n % 10)})]
    plan = compile_plan(call(*steps, length_limit="15m"))
    assert len(plan.twiml) < 4000
    assert plan.twiml.count("<Play") == 30


@pytest.mark.parametrize(
    ("steps", "waits"),
    [
        (({"expect": "Welcome", "barge_in": "true"}, {"press": "1"}), (4, 0)),
        (({"expect": "Closed on Monday", "optional": "true"}, {"expect": "Welcome"}, {"press": "1"}), (3, 5, 0)),
        (({"silence": "1.5s"}, {"press": "1"}), (5, 0)),
        (({"hold": "An agent", "within": {"major": "30s"}}, {"press": "1"}), (32, 0)),
        (({"expect": "Please hold", "within": {"major": "4s"}}, {"hang_up": "true"}), (6, 0)),
    ],
)
def test_each_kind_of_step_gets_its_time(steps, waits):
    assert compile_plan(call(*steps, length_limit="5m")).waits == waits


def test_whoever_may_answer_is_told_what_this_is_before_we_hang_up():
    plan = compile_plan(call({"hold": "An agent", "within": {"major": "5s"}}))
    assert plan.twiml.endswith("</Say><Hangup/></Response>")
    assert "automated test" in plan.twiml


def test_who_hangs_up_before_an_agent_says_nothing_and_gives_the_last_prompt_all_its_time():
    steps = (
        {"expect": "Please hold", "misroute": {"lost cards": "Lost cards"}, "within": {"major": "4s"}},
        {"hang_up": "true"},
    )
    plan = compile_plan(call(*steps), timings={0: Timing(delay=0.4, length=2.0)})
    assert plan.twiml == '<Response><Pause length="7"/><Hangup/></Response>'


def test_words_that_are_said_cannot_break_out_of_the_script():
    plan = compile_plan(call({"say": "</Say><Dial>+19005551234</Dial><Say>\"'&"}, {"listen": "5s"}))
    assert "<Dial>" not in plan.twiml
    root = ET.fromstring(plan.twiml)
    assert [element.tag for element in root] == ["Say", "Pause", "Hangup"]
    assert root[0].text == "</Say><Dial>+19005551234</Dial><Say>\"'&"


def test_importing_the_probe_loads_neither_numpy_nor_twilio():
    program = "import sys, earwitness.probes.call; print(sorted({'numpy', 'twilio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "least", "most"),  # seconds: an announcer at his usual pace, and one who is in no hurry
    [
        ("请输入您的卡号,然后按井号键", 3.5, 7.0),
        ("カード番号を入力してください", 2.6, 5.8),
        ("카드 번호를 입력해 주세요", 2.4, 4.8),
        ("Please enter your card number", 2.0, 4.0),
    ],
)
def test_a_prompt_gets_its_time_in_any_script(text, least, most):
    assert least < spoken_length(text) < most


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ({"say": "My PIN is four nine seven one", "secret": True}, "****"),
        ({"say": "My card is 4242 4242 4242 4242"}, "My card is ****4242"),
        ({"say": "An adviser please"}, "An adviser please"),
    ],
)
def test_secret_words_are_shown_nowhere(step, shown):
    spec = CallSpec.model_validate({"to": "+12025550199", "steps": [{"expect": "Hello"}, step, {"expect": "Thanks"}]})
    plan = compile_plan(spec)
    assert spec.steps[1].title == f"say {shown}"
    assert f"<Say>{step['say']}</Say>" in plan.twiml
    assert f"<Say>{shown}</Say>" in plan.masked
    assert planned(spec.steps, plan.waits)[1].secret is (shown != step["say"])
