"""Reviews as files for other programs: CSV, COCO JSON, a table to train from."""
