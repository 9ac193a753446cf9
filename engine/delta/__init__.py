"""Delta tables on disks and in object stores, read and written by delta-rs: no Spark, no Java.

filters       which rows: `(column, operator, value)`, as pyarrow and delta-rs write it
local_table   a table's rows, and writes that happen once
object_table  the same in an object store, whose puts fail where another writer was first
object_store  how an object store is reached, what it says when it is not, and when to try again
data_files    Parquet files that others wrote, as a commit adds them
leases        one holder at a time of a name in an object store
head          the newest version of a table: its number, time, id and columns
messages      what delta-rs raises, in a user's words
"""
