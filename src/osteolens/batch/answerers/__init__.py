"""Who answers the films of a batch: a server over HTTP (`http`) or the cores of a Ray cluster (`ray`).

Both get the films from `osteolens.batch.films`, ask `osteolens.batch.work` which models must answer, and write each
row into the same journal, so that a folder that one began goes on with the other. What cannot be shared:

- A server says which model it has only with its answers, so HTTP can meet a new version on its way; Ray knows its
  models before the first film.
- HTTP answers films as they are found and a copy of a film once. Ray finds all films first (some 200 bytes each) and
  answers copies each for itself: its actors do not know of each other.
- Ray reads addresses such as s3://bucket/knees, and knows no explanation but `gradcam`, which its graphs draw.
- Patience, retries and the number of requests under way are HTTP's; Ray itself repeats what a lost machine had.
"""
