"""The six examples that the levels were defined by."""

from earwitness.model import Effect, Severity


def only(world):
    (incident,) = world.open
    return incident


def test_1_a_prompt_that_fails_to_load_blocks_callers_and_is_sev1(world):
    w = world({"ivr": ("self-service", ["ivr-platform"])})
    w.fails("ivr", message="expected “Please enter your account number”, heard silence", times=2)
    assert only(w).severity is Severity.SEV1
    assert "heard silence" in only(w).reason


def test_2_agents_without_their_crm_is_sev1(world):
    w = world({"crm-record": ("find-customer", ["crm"])})
    w.fails("crm-record", times=2)
    assert only(w).severity is Severity.SEV1
    assert only(w).cause.dependency == "crm"


def test_3_misrouted_calls_that_agents_transfer_by_hand_are_sev2(world):
    w = world({"queue": ("mortgage-advice", ["cti"])})
    w.fails("queue", Effect.DIVERTED, times=2)
    assert only(w).severity is Severity.SEV2


def test_4_poor_audio_is_sev3_and_waits_for_its_repetition(world):
    w = world({"line": ("talk", ["carrier"])})
    w.fails("line", Effect.NUISANCE, times=2)
    assert w.open == []
    assert w.requests == []
    w.fails("line", Effect.NUISANCE)
    assert only(w).severity is Severity.SEV3


def test_5_a_failure_before_production_is_a_non_production_defect_however_bad(world):
    w = world({"recovery": ("fail-over", ["second-site"], "load-test")})
    w.fails("recovery", times=2)
    assert only(w).severity is Severity.NONPROD
    assert "not production" in only(w).reason


def test_6_a_card_processor_that_fails_on_web_and_phone_is_one_sev1_that_names_it(world, recording):
    w = world(
        {
            "pay-by-phone": ("pay-by-card", ["card-processor"]),
            "pay-on-web": ("pay-by-card", ["card-processor"]),
            "opening-hours": ("ask-hours", []),
        }
    )
    w.passes("pay-by-phone", "pay-on-web", "opening-hours")
    w.fails("pay-on-web", message="expected status 200, got 502")
    w.fails("pay-by-phone", message="heard “your payment could not be taken”", evidence=[recording])
    w.passes("opening-hours")
    incident = only(w)
    assert incident.severity is Severity.SEV1
    assert incident.cause.dependency == "card-processor"
    assert incident.cause.supporting == ("pay-by-phone", "pay-on-web")
    assert "Card processor" in incident.title
    assert "got 502" in incident.reason
    assert "could not be taken" in incident.reason
    assert "would be Sev2 if" in incident.reason
    assert recording in incident.evidence

    w.passes("pay-on-web", "pay-by-phone", "pay-on-web")
    assert only(w).id == incident.id
    w.passes("pay-by-phone")
    assert w.open == []
    assert w.kinds == ["open", "resolve"]
