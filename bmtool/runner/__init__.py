"""The life of a stage: inputs, fingerprint, skip or resume, run, commit, report."""
