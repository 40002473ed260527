"""`exchange init --tls`, and what is said of certificates that are no good."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cluster.tls import TlsError
from exchange.certificates import check, issue, make_authority, save
from exchange.cli import cli
from exchange.config import load
from exchange.config_keys import ConfigError
from exchange.config_text import write_exchange_folder
from exchange.settings import tls_settings
from exchange.wiring import run_fix_gateway, run_node

NAMES = {
    "node-1",
    "node-2",
    "node-3",
    "client-fix-1",
    "client-ouch-1",
    "client-md-1",
    "client-operator",
}
TWO_YEARS_AGO = timedelta(days=731)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `exchange init --tls`, with an authority whose key is known to the tests."""
    folder = tmp_path_factory.mktemp("exchange") / "x"
    result = CliRunner().invoke(cli, ["init", str(folder), "--tls"])
    assert result.exit_code == 0
    assert "DEVELOPMENT authority" in result.output
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoiled."""
    return shutil.copytree(made, tmp_path / "x")


def check_config(folder: Path, *words: str) -> Result:
    path = str(folder / "exchange.toml")
    return CliRunner().invoke(cli, ["check-config", "--config", path, *words])


def test_init_with_tls_makes_a_certificate_for_every_process(made: Path) -> None:
    tls = made / "tls"
    assert {path.stem for path in tls.glob("*.pem")} == NAMES | {"ca"}
    assert {path.stem for path in tls.glob("*.key")} == NAMES | {"ca"}
    assert "DEVELOPMENT" in (tls / "README.txt").read_text()
    assert load(made / "exchange.toml").tls.authority == tls / "ca.pem"


def test_only_the_owner_may_read_the_keys(made: Path) -> None:
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (made / "tls").glob("*.key")}
    assert modes == {0o600}
    assert stat.S_IMODE((made / "tls").stat().st_mode) == 0o700


def test_a_new_certificate_is_valid_for_two_years(made: Path) -> None:
    settings = tls_settings(load(made / "exchange.toml"), "node-1")
    assert settings is not None
    assert check(settings, "node-1").days_left in (729, 730)


def test_init_does_not_overwrite_certificates(folder: Path) -> None:
    (folder / "exchange.toml").unlink()
    with pytest.raises(ConfigError, match="tls: is there already"):
        write_exchange_folder(folder, tls=True)
    assert not (folder / "exchange.toml").exists()


def test_check_config_says_until_when_certificates_are_valid(made: Path) -> None:
    result = check_config(made, "--json")
    assert result.exit_code == 0
    facts = json.loads(result.output)
    year = str((datetime.now(UTC) + timedelta(days=730)).year)
    assert all(facts[f"{name}.pem is valid until"].startswith(year) for name in NAMES)


def test_check_config_of_one_process_needs_the_files_of_that_process_only(folder: Path) -> None:
    for path in (folder / "tls").glob("*.key"):
        if path.stem != "node-2":
            path.unlink()
    assert check_config(folder, "--process", "node-2").exit_code == 0
    assert isinstance(check_config(folder).exception, ConfigError)
    assert check_config(folder, "--process", "node-7").exit_code == 2


def replace_by(folder: Path, kind: str) -> None:
    """Put another pair in place of node-2's."""
    authority = make_authority()
    now = datetime.now(UTC)
    if kind != "another authority":
        save(authority, folder, "new")
        for ending in ("pem", "key"):
            (folder / f"new.{ending}").rename(folder / f"ca.{ending}")
        # the others are of the old authority now, but node-2 is looked at alone
    (folder / "node-2.pem").unlink()
    (folder / "node-2.key").unlink()
    began = {"expired": now - TWO_YEARS_AGO, "not yet valid": now + timedelta(days=2)}
    name = "node-3" if kind == "another name" else "node-2"
    save(issue(authority, name, began.get(kind)), folder, "node-2")


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing certificate": (lambda f: (f / "node-2.pem").unlink(), "node-2.pem: No such file"),
    "missing key": (lambda f: (f / "node-2.key").unlink(), "node-2.key: No such file"),
    "missing authority": (lambda f: (f / "ca.pem").unlink(), "ca.pem: No such file"),
    "key of another": (
        lambda f: shutil.copy(f / "node-1.key", f / "node-2.key"),
        "node-2.pem with node-2.key: key values mismatch",
    ),
    "no PEM": (lambda f: (f / "node-2.pem").write_text("x"), "node-2.pem: "),
    "open key": (lambda f: (f / "node-2.key").chmod(0o644), "node-2.key: mode 0644"),
    "expired": (lambda f: replace_by(f, "expired"), "node-2.pem expired on 20"),
    "not yet valid": (lambda f: replace_by(f, "not yet valid"), "node-2.pem is valid from 20"),
    "another authority": (
        lambda f: replace_by(f, "another authority"),
        "node-2.pem was not signed by",
    ),
    "another name": (
        lambda f: replace_by(f, "another name"),
        "node-2.pem is the certificate of node-3, not of node-2",
    ),
}


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT.values(), ids=SPOILT)
def test_a_certificate_that_is_no_good_is_named_before_anything_starts(
    folder: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(folder / "tls")
    error = check_config(folder, "--process", "node-2").exception
    assert isinstance(error, ConfigError)
    assert sentence in str(error)
    with pytest.raises(ConfigError, match=r"tls\.certificates"):
        run_node(load(folder / "exchange.toml"), 2, None)
    assert list((folder / "data").iterdir()) == []


def test_while_the_authority_is_replaced_certificates_of_both_are_good(folder: Path) -> None:
    tls = folder / "tls"
    old = (tls / "ca.pem").read_text()
    replace_by(tls, "new authority")
    assert check_config(folder, "--process", "node-2").exit_code == 0
    assert isinstance(check_config(folder).exception, ConfigError)
    with (tls / "ca.pem").open("a") as file:
        file.write(old)
    assert check_config(folder).exit_code == 0


def test_a_gateway_with_the_certificate_of_another_client_does_not_start(folder: Path) -> None:
    for ending in ("pem", "key"):
        shutil.copy(folder / "tls" / f"client-md-1.{ending}", folder / f"tls/client-fix-1.{ending}")
    with pytest.raises(ConfigError, match="certificate of client-md-1, not of client-fix-1"):
        run_fix_gateway(load(folder / "exchange.toml"), 1, None)


def test_check_config_looks_at_what_fix_clients_are_shown(folder: Path) -> None:
    path = folder / "exchange.toml"
    text = path.read_text()
    for key, value in (("tls_certificate", "tls/fix.pem"), ("tls_key", "tls/fix.key")):
        text = text.replace(f'{key} = ""', f'{key} = "{value}"')
    path.write_text(text)
    missing = check_config(folder, "--process", "gateway-fix").exception
    assert isinstance(missing, ConfigError)
    assert "fix.tls_certificate" in str(missing)
    assert check_config(folder, "--process", "node-1").exit_code == 0
    save(issue(make_authority(), "fix.example.com"), folder / "tls", "fix")
    result = check_config(folder, "--process", "gateway-fix")
    assert result.exit_code == 0
    assert "fix.pem is valid until" in result.output


def test_a_certificate_of_a_client_cannot_serve(made: Path) -> None:
    """Its extended key usage says so; the name would already be wrong."""
    config = load(made / "exchange.toml")
    operator, node = tls_settings(config, "operator"), tls_settings(config, "node-1")
    assert operator is not None
    assert node is not None
    with pytest.raises(TlsError, match="not of node-1"):
        check(operator, "node-1")
