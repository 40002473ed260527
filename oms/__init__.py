"""The rules of the exchange: accounts, risk checks, order life cycle, trading states. Pure."""
