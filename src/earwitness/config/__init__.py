"""The configuration: read with positions, checked strictly, all problems told at once."""
