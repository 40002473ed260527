"""OUCH 5.0 order entry over SoupBinTCP."""
