"""Durable local append and exactly-once replay of records.

One SQLite file for each worker process, in one folder. The `Writer` appends on its own thread; a `Reader` reads all files of the
folder and never stops a writer; a `Cursor` is a named consumer that gets each row once. What a row means is not known here: it is
bytes with an id and a time.
"""
