"""A suite's first draft: what is known of models and data, and which tests that can bear.

`evalmatrix init` asks what the label, the key and the task are (`guesses`), measures the champion
once (`trial`), and keeps of all tests those that its intervals can decide; each with what speaks
for it, the others with what speaks against. `document` writes them as YAML with comments.
"""
