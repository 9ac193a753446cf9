"""What a single value of a file may be, and how a mistake in it is put.

Suites, trainings, conditions and kinds of tests are read by the same types, and tell of a wrong
value in the same words.
"""
