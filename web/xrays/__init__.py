"""Films: uploading, asking, showing, looking back."""
