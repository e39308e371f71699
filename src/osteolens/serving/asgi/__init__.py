"""The second engine: a Starlette application on uvicorn, with one worker process per core behind it."""
