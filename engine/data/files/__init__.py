"""Files as a dataset: which there are, what their columns are, and the table that has their rows.

listing     the files of a glob, each with a name, its content's digest, its `key=value` folders
values      what the texts of a CSV column look like: whole numbers, dates, leading zeros, ...
facts       what is known of one file; kept, so that it is looked at once
csv_files   the columns of CSV files, and their rows as Spark reads them
parquet     the columns of Parquet files, likewise
decision    the types of a dataset's columns, from what is known of all its files
lake        a table that has exactly the rows of the files there are now
"""
