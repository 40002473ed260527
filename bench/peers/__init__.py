"""Other people's programs for the same work, measured in the same run on the same machine."""
