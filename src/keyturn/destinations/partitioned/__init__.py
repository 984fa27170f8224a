"""Folders of Parquet files, `column=value` as Hive names them: on our disk, and in buckets.

A manifest lists the files that count. Whatever lies beside them is not there: it is of an import that has not ended, or
was replaced.
"""
