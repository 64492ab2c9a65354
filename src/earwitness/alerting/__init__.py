"""Telling people: who, what, and until it has arrived."""
