"""Whether a run may start now, and its way from a slot or a request to an observation."""
