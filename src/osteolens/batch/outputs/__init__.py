"""What a batch leaves in its folder: tables, page, overlays and the account of its calls."""
