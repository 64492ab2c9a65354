"""The call probe: telephones a number as a customer would and judges what was heard from the recording.

numpy and the carrier's SDK are loaded when a call is first made, never by importing this module.
"""

from earwitness.telephony.spec import CallSpec, StepSpec

__all__ = ["CallSpec", "StepSpec"]
