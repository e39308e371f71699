"""Who answers the films of a batch: a server over HTTP (`http`) or the cores of a Ray cluster (`ray`).

Both get the films from `osteolens.batch.films`, learn from `osteolens.batch.work` which models must answer, and write
each row into the same journal, so that a folder that one began goes on with the other. What cannot be shared:

- A server says which model it has only with its answers, so HTTP can meet a new version on its way; Ray knows its
  models before the first film.
- HTTP answers films as they are found and a copy of a film once. Ray finds all films first (some 200 bytes each) and
  answers copies each for itself: its actors do not know of each other.
- Ray reads addresses such as s3://bucket/knees, and knows no explanation but `gradcam`, which its graphs draw.
- Patience, retries and the number of requests under way are HTTP's; Ray itself repeats what a lost machine had.

Both have one writer, the process that was started: it alone sees that no film is there twice, that no two versions of a
model mix, and what an earlier call has left to do, and it needs no folder that all machines share. It writes 13,000
rows a second of its core's time into the journal, and 12,000 into the tables at the end, where a film takes 15 to 20 ms
of an actor's: one writer keeps up with about 200 cores. Actors that wrote partitions of their own would have to agree
on all three; for more cores, give each part of the films an output folder (`--out`), whose `results.parquet` folders
pandas, Arrow and Ray read together.
"""
