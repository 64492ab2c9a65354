"""Everything that is said on Acme's lines: from a prompt's name to its words.

`render_prompts.py` turns each entry into NAME.wav and NAME.txt, in `prompts` or `unforeseen`.
"""

from collections.abc import Mapping
from types import MappingProxyType

WORDING: Mapping[str, str] = MappingProxyType(
    {
        "welcome": "Welcome to Acme. Thank you for calling.",
        "main_menu": (
            "For your balance and our opening hours, press one. To pay by card, press two. "
            "To pay from a bank account, press three. For mortgages, press four."
        ),
        "account_menu": "For your balance, press one. For our opening hours, press two.",
        "balance": "The balance of your account is forty two dollars and seventeen cents.",
        "balance_unavailable": "We are sorry, we cannot reach your account details at the moment.",
        "opening_hours": "We are open from eight in the morning until six in the evening, Monday to Friday.",
        "enter_card": "Please enter your card number, followed by the hash key.",
        "card_not_valid": "That card number is not valid.",
        "payment_accepted": "Your payment was accepted. Thank you.",
        "payment_failed": "We are sorry, your payment could not be taken. Please try again later.",
        "enter_account": "Please enter your bank account number, followed by the hash key.",
        "bank_payment_accepted": "Your bank payment was accepted. It will arrive within one working day.",
        "bank_payment_failed": "We are sorry, bank payments are not available at the moment.",
        "mortgage_team": "You are through to the mortgage team. Please hold for the next adviser.",
        "lost_cards_team": "This is the lost and stolen cards department. Please have your account number ready.",
        "still_holding": "All our advisers are busy. Your call is important to us.",
        "nothing_heard": "Sorry, we did not hear your choice.",
        "not_an_option": "Sorry, that is not one of the options.",
        "goodbye": "We wish you a pleasant day. Goodbye.",
        "technical_difficulties": "We are experiencing technical difficulties. Please call again later. Goodbye.",
        "test_line": "This is the Acme test line. If you can hear this message, the line is working.",
        "application_error": "We are sorry, an application error has occurred. Goodbye.",
    }
)

# Heard only when something is other than it should be. The centre's owner has no recordings of these to compare with.
UNFORESEEN: Mapping[str, str] = MappingProxyType(
    {
        "try_again_later": "All our lines are unavailable. Please try again later.",
        "sales_team": "You are through to the sales team. Please hold for the next adviser.",
        "holiday_message": "Please note that our offices are closed on Monday for the public holiday.",
        "welcome_reworded": "Hello, and thanks for calling Acme today.",
        "main_menu_reworded": (
            "Press one for your balance and our opening hours, two to pay by card, three to pay from a bank account, "
            "or four for mortgages."
        ),
        "payment_accepted_reworded": "Thank you. We have taken your payment.",
        "number_unknown": "The number you have dialled has not been recognised. Please check it, and call again.",
        "person_answers": "Hello, Acme, Sam speaking. How can I help?",
        "person_wonders": "Hello? Is anybody there?",
    }
)
# A prompt NAME can be said as NAME_reworded instead.
REWORDED = ("welcome", "main_menu", "payment_accepted")
# What the centre's own voice does not say, by flite's name of the voice that does.
OTHER_VOICES: Mapping[str, str] = MappingProxyType(
    {
        **{f"{name}_reworded": "rms" for name in REWORDED},
        "number_unknown": "awb",
        "person_answers": "rms",
        "person_wonders": "rms",
    }
)
