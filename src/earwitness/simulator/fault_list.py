"""Everything that can be broken in the simulator, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from earwitness.simulator.fault import Fault, timed
from earwitness.simulator.telephone_numbers import CONTACT_CENTRE, OUR_NUMBER
from earwitness.simulator.wording import REWORDED, WORDING

_E164 = r"\+[1-9]\d{6,14}"
_ACCOUNT = r"(AC[0-9a-zA-Z]{32})?"

# The business behind shop and telephone.
SERVICE_FAULTS = {
    "card-processor-down": Fault("The card processor refuses every payment, on the web and on the telephone."),
    "bank-down": Fault("Payments from a bank account fail, on the web and on the telephone."),
    "crm-down": Fault(
        "Customers' records cannot be read: agents cannot open them, the telephone cannot tell a balance."
    ),
}
# The production contact centre.
CENTRE_FAULTS = {
    "prompt-missing": Fault(
        "A prompt fails to load: ten seconds of dead air, then the centre hangs up.",
        {"prompt": "enter_card"},
        words={"prompt": tuple(WORDING)},
    ),
    "misroute": Fault("Callers for the mortgage team are put through to lost and stolen cards."),
    "poor-audio": Fault(
        "The centre's sound suffers packet loss, noise and clipping; level 0 is none, 1 is hardly intelligible.",
        {"level": 0.5},
        {"level": (0, 1)},
    ),
    "dead-air": timed("The centre answers, says and hears nothing, and hangs up after `seconds`.", "seconds", 30, 600),
    "dtmf-ignored": Fault("The centre hears no key."),
    "prompt-truncated": Fault(
        "A prompt falls silent after a share of its length.",
        {"prompt": "enter_card", "share": 0.5},
        {"share": (0, 1)},
        {"prompt": tuple(WORDING)},
    ),
    "slow-prompts": timed("Every prompt comes late by `seconds`.", "seconds", 5, 60),
    "early-hangup": timed("The centre hangs up `seconds` after it answered.", "seconds", 4, 600),
    "error-prompt": Fault(
        "Instead of a prompt the centre says that it cannot serve the caller, and hangs up.",
        {"prompt": "enter_card", "says": "technical_difficulties"},
        words={"prompt": tuple(WORDING), "says": ("technical_difficulties", "try_again_later", "application_error")},
    ),
    "reworded-prompt": Fault(
        "A prompt is said in other words and by another voice; all else works.",
        {"prompt": "welcome"},
        words={"prompt": REWORDED},
    ),
    "holiday-message": Fault("A message about a holiday is played before the welcome."),
    "hold-music": Fault(
        "Before a prompt, the caller is put on hold with music for `seconds`.",
        {"before": "main_menu", "seconds": 20},
        {"seconds": (0, 600)},
        {"before": tuple(WORDING)},
    ),
    "wrong-queue": Fault(
        "A choice of the main menu leads to the queue of another team.",
        {"choice": "4", "queue": "sales team"},
        words={"choice": ("1", "2", "3", "4"), "queue": ("sales team", "lost cards team", "mortgage team")},
    ),
    "dtmf-slow": timed("Keys are acted on `seconds` late.", "seconds", 3, 60),
    "speech-menu": Fault(
        "The main menu takes speech as well: whatever is said counts as one of the choices.",
        {"choice": "4"},
        words={"choice": ("1", "2", "3", "4")},
    ),
}
# How the centre's number is answered, if at all.
ANSWER_FAULTS = {
    "line-busy": Fault("The centre's number is busy."),
    "line-unanswered": Fault("The centre's number rings, and nobody answers."),
    "line-unobtainable": Fault("Calls to the centre's number fail."),
    "late-answer": timed("The centre's number rings for `seconds` before it is answered.", "seconds", 20, 600),
    "announced-unobtainable": Fault(
        "The call is answered by the network: three tones, and an announcement that the number is not known."
    ),
    "busy-tone-after-answer": Fault("The call is answered, and all that is heard is the busy tone."),
    "ring-back-after-answer": timed(
        "The call counts as answered at once, but it is still ringing for `seconds`, audibly.", "seconds", 15, 600
    ),
    "fax-answers": Fault("A fax machine answers."),
    "number-ported": Fault("A person answers, and waits for the caller to speak."),
}
# What the centre's sound suffers on its way.
SOUND_FAULTS = {
    "one-way": timed(
        "The media path is broken from `after` seconds on: nothing arrives of the centre, which still hears.",
        "after",
        0,
        600,
    ),
    "noise": Fault("White noise, `snr` dB below the speech.", {"snr": 10}, {"snr": (-20, 60)}),
    "hum": Fault(
        "Mains hum of `hertz` and its harmonics at `level` dBFS.",
        {"hertz": 50, "level": -30},
        {"hertz": (40, 70), "level": (-80, 0)},
    ),
    "clipping": Fault("The sound is `gain` dB too loud, and its peaks are cut off.", {"gain": 20}, {"gain": (0, 60)}),
    "low-level": Fault("The sound is `loss` dB too quiet.", {"loss": 25}, {"loss": (0, 80)}),
    "packet-loss": Fault(
        "A share of the packets (20 ms) is lost, and filled with silence or the packet before.",
        {"share": 0.05, "mode": "zero"},
        {"share": (0, 1)},
        {"mode": ("zero", "repeat")},
    ),
    "dropouts": Fault(
        "In every `every` seconds the sound is gone for `seconds`.",
        {"every": 3, "seconds": 0.4},
        {"every": (0.1, 600), "seconds": (0, 600)},
    ),
    "echo-of-caller": Fault(
        "The caller's own voice comes back, `delay` seconds later and `loss` dB quieter.",
        {"delay": 0.3, "loss": 12},
        {"delay": (0, 5), "loss": (0, 60)},
    ),
    "robotic": Fault("The voice has lost its melody, as after a bad codec."),
    "muffled": Fault("Nothing above 900 Hz is heard."),
}
STAGING_FAULTS = {
    "staging-down": Fault("The staging shop answers 503."),
    "staging-phone-down": Fault("The staging contact centre says that it has technical difficulties, and hangs up."),
}
SHOP_FAULTS = {
    "shop-slow": timed("The shop answers late by `seconds`.", "seconds", 2, 120),
    "shop-down": Fault("The shop answers 503."),
    "card-form-down": Fault("The card processor's form does not load into the payment page: 503."),
    "card-form-slow": timed("The card processor's form answers late by `seconds`.", "seconds", 4, 120),
    "card-script-down": Fault(
        "The card processor's script, which puts its form into the payment page, does not load: 503."
    ),
    "card-script-changed": Fault("The card processor's script on the payment page is another than before."),
    "shop-script-added": Fault("The payment page loads a script that nobody accepted."),
    "shop-headers-gone": Fault("The payment page comes without its security headers."),
    "shop-script-error": Fault("A script of the payment page fails."),
    "shop-page-hangs": Fault("The payment page hangs once it is loaded: a script never ends."),
}
# The carrier: its API, and where it connects.
CARRIER_FAULTS = {
    "twilio-down": Fault("Twilio's API closes every connection without an answer."),
    "twilio-500": Fault("Twilio's API answers 500 with error 20500."),
    "twilio-429": Fault("Twilio's API answers 429 with error 20429."),
    "twilio-html": Fault("Twilio's API answers 503 with a web page instead of JSON."),
    "twilio-auth": Fault("Twilio's API answers 401 with error 20003, whatever the credentials."),
    "number-invalid": Fault(
        "Twilio says that a number called is not valid: 21211.",
        {"number": CONTACT_CENTRE},
        shapes={"number": _E164},
    ),
    "geo-permission": Fault("The account may not call the country: 21215."),
    "concurrency-limit": Fault("The account has too many calls at once: 429 with error 10004."),
    "balance-gone": Fault("The account has no money left: it is suspended, and dials nothing."),
    "carrier-down": Fault(
        "Every call of the account fails, or of all accounts if none is named.",
        {"account": ""},
        shapes={"account": _ACCOUNT},
    ),
    "route-down": Fault(
        "Calls of the account, or of all accounts if none is named, fail to reach one number.",
        {"account": "", "number": CONTACT_CENTRE},
        shapes={"account": _ACCOUNT, "number": _E164},
    ),
    "number-blocked": Fault(
        "The centre's network refuses calls from one number.",
        {"number": OUR_NUMBER, "ending": "failed"},
        words={"ending": ("failed", "busy")},
        shapes={"number": _E164},
    ),
    "account-suspended": Fault("The account is suspended: it can be read, and dials nothing."),
    "create-lost": Fault(
        "The call is created and dials, but the POST answers 500, never answers, or the connection is closed.",
        {"answer": "500"},
        words={"answer": ("500", "never", "closed")},
    ),
    "price-late": timed(
        "Calls have no price until `seconds` after their end, in the call's time.", "seconds", 300, 86400
    ),
    "calls-queued": timed(
        "Calls wait in the carrier's queue for `seconds` before they are dialled.", "seconds", 60, 86400
    ),
}
# What webhooks are told of.
CALLBACK_FAULTS = {
    "callbacks-lost": Fault("No webhook is told of anything."),
    "callbacks-duplicated": Fault("Webhooks are told of everything twice."),
    "callbacks-reordered": Fault("Webhooks are told of every two events in the wrong order."),
    "callbacks-late": timed(
        "Webhooks are told of everything `seconds` late, in the call's time.", "seconds", 30, 86400
    ),
    "transcription-fails": Fault("The carrier's own transcription fails: error 32651."),
    "callbacks-forged": Fault(
        "After the first status callback comes one that is not Twilio's: signed wrongly, and untrue."
    ),
}
STREAM_FAULTS = {
    "stream-refused": Fault("Media streams never connect: error 31920."),
    "stream-late": timed("Media streams connect `seconds` late, and miss what was said.", "seconds", 5, 600),
    "stream-stalls": timed("Media streams stay open but carry nothing after `seconds`.", "seconds", 5, 600),
    "stream-dropped-on-update": Fault("Media streams end when the call's TwiML is replaced."),
}
RECORDING_FAULTS = {
    "recording-absent": Fault("Recordings end as absent with error 16102, as if they were silent."),
    "recording-truncated": Fault("Recordings hold only a share of the call.", {"share": 0.5}, {"share": (0, 1)}),
    "recording-late": timed("Recordings are completed `seconds` later.", "seconds", 120, 86400),
    "recording-never": Fault("Recordings are in processing for ever."),
    "channels-swapped": Fault("The two channels of dual recordings are exchanged."),
}
FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        **SERVICE_FAULTS,
        **CENTRE_FAULTS,
        **ANSWER_FAULTS,
        **SOUND_FAULTS,
        **STAGING_FAULTS,
        **SHOP_FAULTS,
        **CARRIER_FAULTS,
        **CALLBACK_FAULTS,
        **STREAM_FAULTS,
        **RECORDING_FAULTS,
    }
)
