"""Alert calls: what is said cannot become an instruction, the key that is pressed is believed when it is signed, and money is kept."""

import json
import time
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, urlencode
from xml.etree import ElementTree as ET

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_world import OutboxWorld
from providers import PROVIDERS
from told import opened, resolved
from twilio.request_validator import RequestValidator

from earwitness.alerting.couriers import Courier, Hook
from earwitness.alerting.dialling import Dialler
from earwitness.alerting.notices import Links
from earwitness.alerting.senders import Senders
from earwitness.config.fields import Money
from earwitness.config.load import ConfigError, load_config
from earwitness.config.schema import BudgetSpec
from earwitness.hooks import HOOKS
from earwitness.hooks.base import Callback, HookOutcome, Parcel
from earwitness.hooks.call import KIND, CallHookSpec
from earwitness.model import TransitionKind
from earwitness.simulator.server import Simulator
from earwitness.store import owed, resending, spend
from earwitness.store.owed import Prompt, Recipient

NUMBER = "+12025550199"
SECTION = {k: v for k, v in PROVIDERS["call"].section.items() if k != "tell_end"}
SPEC = CallHookSpec.model_validate(SECTION)


def document(notice, spec=SPEC):
    return ET.fromstring(json.loads(KIND.render(spec, notice))["twiml"])


def test_it_says_what_happened_and_asks_for_a_key():
    gather, goodbye = document(opened(hook="ring"))
    assert gather.tag == "Gather"
    assert gather.attrib["action"].startswith("https://earwitness.example/monitor/callbacks/ring?incident=inc-")
    (said,) = gather
    assert "customers cannot finish" in said.text
    assert "press 1" in said.text
    assert goodbye.tag == "Say"


@given(st.text(max_size=3000))
def test_no_title_becomes_an_instruction(title):
    hostile = opened(hook="ring", title=f"</Say><Dial>+19005550100</Dial><Say>{title}")
    twiml = json.loads(KIND.render(SPEC, hostile))["twiml"]
    assert len(twiml) < 4000
    assert {e.tag for e in ET.fromstring(twiml).iter()} == {"Response", "Gather", "Say"}


def test_nobody_is_called_for_the_end_unless_it_is_wished():
    told = resolved(hook="ring")
    talk = KIND.talk(SPEC, Parcel(told.key, KIND.render(SPEC, told), 0.0))
    with pytest.raises(StopIteration) as ended:
        next(talk)
    assert ended.value.value.result == "delivered"
    wished = CallHookSpec.model_validate({**SECTION, "tell_end": "yes"})
    (said, _) = document(told, wished)
    assert said.tag == "Say", "there is nothing to acknowledge any more"


# --- the key ---------------------------------------------------------------------------------------------------------

URL = "https://earwitness.example/callbacks/ring?incident=inc-1"


def pressed(digits, url=URL, token=SECTION["auth_token"], signed_url=URL):
    form = {"CallSid": "CA1", "Digits": digits, "To": NUMBER}
    signature = RequestValidator(token).compute_signature(signed_url, form)
    callback = Callback({"x-twilio-signature": signature}, urlencode(form).encode(), url)
    return HOOKS["call"].hear(SPEC, callback, 0.0)


def test_the_key_acknowledges():
    (said,) = pressed("1")
    assert (said.incident, said.action, said.who) == ("inc-1", "acknowledge", "somebody by telephone")
    assert pressed("2") == pressed("") == []


def test_a_key_that_twilio_did_not_sign_is_refused():
    assert pressed("1", token="another") is None
    assert pressed("1", url=URL.replace("inc-1", "inc-2")) is None
    assert HOOKS["call"].hear(SPEC, Callback({}, b"Digits=1", URL), 0.0) is None


def test_the_voice_answers():
    media_type, body = KIND.answer(pressed("1"))
    assert media_type == "text/xml"
    assert ET.fromstring(body)[0].text.startswith("Acknowledged")
    assert ET.fromstring(KIND.answer([])[1])[0].text.startswith("Not acknowledged")


# --- the number and the money ----------------------------------------------------------------------------------------


class Ringing:
    """A courier whose calls go to the simulator's Twilio, over the real dialler."""

    def __init__(self, tmp_path, api_url, allow=(NUMBER,), per_day="1 USD", **more):
        self.world = OutboxWorld(tmp_path / "earwitness.db", [{"to": ["ring"], "failover": ["chat"]}])
        self.spec = CallHookSpec.model_validate({**SECTION, "api_url": api_url, **more})
        budget = BudgetSpec.model_validate({"per_day": per_day})
        dialler = Dialler(self.world.store, self.world.clock, frozenset(allow), budget)
        self.http = httpx.AsyncClient(trust_env=False)
        senders = Senders(self.http, Path, dialler)
        hook = Hook("ring", KIND, self.spec, 15.0)
        links = Links("https://earwitness.example")
        self.world.couriers["ring"] = Courier(hook, self.world.store, self.world.clock, senders, links)

    async def opens(self, *names):
        self.days = {spend.day_of(self.world.clock.now())}
        await self.world.opens(*names)
        await self.world.deliver("ring", "chat")

    async def spent(self):
        """Since the opening: midnight may have passed."""
        days = self.days | {spend.day_of(self.world.clock.now())}
        return await self.world.store.read(lambda c: sum(spend.spent(c, day, "USD") for day in days))


@pytest.fixture
async def ring(tmp_path):
    made = []

    def start(api_url, **more):
        made.append(Ringing(tmp_path, api_url, **more))
        return made[-1]

    yield start
    for each in made:
        await each.http.aclose()
        each.world.close()


@pytest.fixture
async def simulator():
    async with Simulator() as running:
        yield running


async def calls(simulator):
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{simulator.url}/calls")).json()


async def test_the_telephone_rings_and_the_money_is_set_aside(ring, simulator):
    ringing = ring(simulator.url)
    await ringing.opens("a")
    assert await ringing.world.states("ring") == [("open", "delivered")]
    assert len(await calls(simulator)) == 1
    assert await ringing.spent() == 28_000, "two minutes"


async def test_a_number_that_may_not_be_dialled_is_not_and_the_next_hook_takes_over(ring, simulator):
    ringing = ring(simulator.url, allow=())
    await ringing.opens("a")
    assert await ringing.world.states("ring") == [("open", "refused")]
    assert ringing.world.kinds("chat") == ["open"]
    assert await calls(simulator) == []
    assert await ringing.spent() == 0
    (row, _) = await ringing.world.rows()
    assert NUMBER not in str(row["trail"])


async def test_beyond_the_budget_nobody_is_called_and_the_next_hook_takes_over(ring, simulator):
    ringing = ring(simulator.url, per_day="0.06 USD")
    await ringing.opens("a", "b", "c")
    assert await ringing.world.states("ring") == [("open", "delivered"), ("open", "delivered"), ("open", "refused")]
    assert len(await calls(simulator)) == 2
    assert ringing.world.kinds("chat") == ["open"]
    rows = [r for r in await ringing.world.rows() if r["state"] == "refused"]
    assert rows[0]["reason"] == "over_budget"


async def test_what_twilio_refused_costs_nothing(ring):
    ringing = ring("http://127.0.0.1:9")
    courier = ringing.world.couriers["ring"]
    refusing = httpx.MockTransport(lambda _: httpx.Response(400, json={"code": 21211, "message": "To is invalid"}))
    async with httpx.AsyncClient(transport=refusing) as client:
        courier._senders = Senders(client, Path, courier._senders.dialler)
        await ringing.opens("a")
    assert await ringing.spent() == 0


@pytest.mark.parametrize("answer", ["500", "closed"])
async def test_a_call_whose_answer_was_lost_rings_once_and_costs_once(ring, simulator, answer):
    simulator.faults.turn_on("create-lost", {"answer": answer})
    ringing = ring(simulator.url)
    ringing.world.clock.moment = time.time()
    await ringing.opens("a")
    assert await ringing.world.states("ring") == [("open", "pending")]
    for _ in range(20):
        ringing.world.clock.moment += 60
        await ringing.world.deliver("ring")
    assert await ringing.world.states("ring") == [("open", "delivered")]
    assert len(await calls(simulator)) == 1
    assert await ringing.spent() == 28_000
    (row,) = [r for r in await ringing.world.rows() if r["hook"] == "ring"]
    assert "an earlier attempt called, as CA" in row["trail"][-1]["detail"]


async def test_each_of_two_lost_calls_is_found_for_itself(ring, simulator):
    simulator.faults.turn_on("create-lost", {"answer": "500"})
    ringing = ring(simulator.url)
    ringing.world.clock.moment = time.time()
    await ringing.opens("a", "b")
    for _ in range(20):
        ringing.world.clock.moment += 60
        await ringing.world.deliver("ring")
    assert len(await calls(simulator)) == 2
    details = [r["trail"][-1]["detail"] for r in await ringing.world.rows()]
    assert len({d.rpartition(" ")[2] for d in details}) == 2


class Deaf:
    """A Twilio that takes nothing and answers 503 to every create; it lists no calls."""

    def __init__(self):
        self.posts = 0

    def answer(self, request):
        if request.method == "GET":
            return httpx.Response(200, json={"calls": []})
        self.posts += 1
        return httpx.Response(503)


async def test_what_twilio_never_took_is_tried_a_few_times_without_cost_and_then_taken_over(ring):
    ringing, deaf = ring("http://twilio.test"), Deaf()
    courier = ringing.world.couriers["ring"]
    async with httpx.AsyncClient(transport=httpx.MockTransport(deaf.answer)) as client:
        courier._senders = Senders(client, Path, courier._senders.dialler)
        await ringing.opens("a")
        for _ in range(200):
            ringing.world.clock.moment += 300
            await ringing.world.deliver("ring", "chat")
    assert deaf.posts == 10
    assert await ringing.world.states("ring") == [("open", "refused")]
    assert ringing.world.kinds("chat") == ["open"]
    assert await ringing.spent() == 0


async def test_while_twilio_cannot_say_whether_it_called_nobody_is_called_again(ring):
    ringing, posts = ring("http://twilio.test"), []

    def lost(request):
        posts.extend([request] if request.method == "POST" else [])
        raise httpx.ReadTimeout("the answer was lost")

    courier = ringing.world.couriers["ring"]
    async with httpx.AsyncClient(transport=httpx.MockTransport(lost)) as client:
        courier._senders = Senders(client, Path, courier._senders.dialler)
        await ringing.opens("a")
        for _ in range(100):
            ringing.world.clock.moment += 225
            await ringing.world.deliver("ring")
    assert len(posts) == 1


@pytest.mark.parametrize("end", ["acknowledges", "resolves"])
async def test_nobody_is_called_for_what_somebody_looks_after_or_is_over(ring, simulator, end):
    ringing = ring(simulator.url)
    (incident,) = await ringing.world.opens("a")
    ringing.world.clock.moment += 60
    await getattr(ringing.world, end)(incident)
    await ringing.world.deliver("ring")
    assert await calls(simulator) == []
    assert {state for _, state in await ringing.world.states("ring")} == {"delivered"}


async def test_an_acknowledgement_that_grew_old_does_not_keep_the_telephone_from_ringing(ring, simulator):
    ringing = ring(simulator.url)
    (incident,) = await ringing.world.opens("a")
    ringing.world.clock.moment += 60
    await ringing.world.acknowledges(incident)
    await ringing.world.deliver("ring")
    assert await calls(simulator) == []
    ringing.world.clock.moment += 7200
    prompt = Prompt("k", incident, TransitionKind.ESCALATE, ringing.world.clock.now(), "still open", Recipient("ring"))
    await ringing.world.store.write(lambda c: owed.add_prompts(c, [prompt], ringing.world.clock.now()))
    await ringing.world.deliver("ring")
    assert len(await calls(simulator)) == 1


async def test_who_sends_it_again_by_hand_wants_it_to_ring(ring, simulator):
    ringing = ring(simulator.url)
    await ringing.opens("a")
    ringing.world.clock.moment += 60
    (row,) = await ringing.world.rows()
    await ringing.world.store.write(lambda c: resending.send_again(c, row["key"], "Ann", ringing.world.clock.now()))
    await ringing.world.deliver("ring")
    assert len(await calls(simulator)) == 2


async def test_without_a_daemon_nothing_is_dialled():
    talk = KIND.talk(SPEC, Parcel("k", KIND.render(SPEC, opened()), 0.0))
    async with httpx.AsyncClient() as client:
        outcome = await Senders(client, Path).send(next(talk), 1.0)
    assert isinstance(outcome, HookOutcome)
    assert "only a running daemon" in outcome.detail


def test_the_price_of_a_call_is_of_all_its_minutes():
    assert SPEC.cost == Money(Decimal("0.028"), "USD")
    assert parse_qs(next(KIND.talk(SPEC, Parcel("k", KIND.render(SPEC, opened()), 0.0))).request.body.decode())[
        "TimeLimit"
    ] == ["120"]


# --- the configuration -----------------------------------------------------------------------------------------------

CONFIG = """
environment: production
http: {{{http}}}
dial: {{allow: [{allowed}]}}
journeys: {{shop: {{}}}}
probes: {{web: {{journey: shop, every: 1m, http: {{url: "https://shop.example/"}}}}}}
hooks:
  ring:
    call:
      {{account_sid: AC00000000000000000000000000000000, auth_token: t, from: "+12025550143", to: "{to}", price_per_minute: 0.014 USD}}
"""


def problems(tmp_path, http="public_url: https://e.example", allowed=f'"{NUMBER}"', to=NUMBER):
    path = tmp_path / "earwitness.yaml"
    path.write_text(CONFIG.format(http=http, allowed=allowed, to=to))
    try:
        load_config(path)
    except ConfigError as error:
        return str(error)
    return ""


def test_a_call_that_could_not_be_answered_or_made_is_refused_at_load(tmp_path):
    assert problems(tmp_path) == ""
    assert "set http.public_url" in problems(tmp_path, http='listen: "127.0.0.1:8420"')
    assert "is not in dial.allow" in problems(tmp_path, allowed="")
    premium = "+19002345678"
    assert "premium-rate" in problems(tmp_path, allowed=f'"{premium}"', to=premium)
