"""Delta tables on this machine's disks, read and written by delta-rs: no Spark, no Java.

filters      which rows: `(column, operator, value)`, as pyarrow and delta-rs write it
local_table  a table's rows, and writes that happen once
head         the newest version of a table: its number, time, id and columns
messages     what delta-rs raises, in a user's words
"""
