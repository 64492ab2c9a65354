"""The kinds of hook: one file a provider, one line each in the registry. A hook makes a request and reads a reply; nothing else."""

from earwitness.hooks import webhook
from earwitness.hooks.base import HookKind

HOOKS: dict[str, HookKind] = {
    "webhook": webhook.KIND,
}
