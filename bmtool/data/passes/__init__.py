"""The passes of prepare: from sources to units, from units to decisions, from decisions to a dataset."""
