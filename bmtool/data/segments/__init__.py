"""Token ids at memory speed: texts are cut into segments, and each different segment is tokenized once.

`families` recognises which tokenizers work segment by segment, `splitting` cuts, `memo` remembers, `wordpiece` and
`bpe` tokenize what is new; whatever they don't know for certain is asked of `tokenizers`.
"""
