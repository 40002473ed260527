"""The versions of FIX that a session can be configured for are those that it can speak."""

from __future__ import annotations

from exchange.config_members import FixVersion
from gateway.fix.dialects import DIALECTS
from protocols.fix_dictionary import VERSIONS


def test_configuration_dictionaries_and_dialects_name_the_same_versions():
    assert [version.value for version in FixVersion] == list(VERSIONS) == list(DIALECTS)
