"""The kinds of hook: one file a provider, one line each in the registry. A hook makes requests and reads replies; nothing else."""

from earwitness.hooks import (
    alertmanager,
    apprise,
    call,
    email,
    jira,
    pagerduty,
    servicenow,
    slack,
    teams,
    twilio,
    webhook,
)
from earwitness.hooks.base import HookKind

HOOKS: dict[str, HookKind] = {
    "webhook": webhook.KIND,
    "alertmanager": alertmanager.KIND,
    "pagerduty": pagerduty.KIND,
    "slack": slack.KIND,
    "teams": teams.KIND,
    "email": email.KIND,
    "servicenow": servicenow.KIND,
    "jira": jira.KIND,
    "twilio": twilio.KIND,
    "call": call.KIND,
    "apprise": apprise.KIND,
}
