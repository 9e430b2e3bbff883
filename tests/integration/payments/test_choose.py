"""Which providers there are, and what is said when one cannot be asked."""

import builtins
import sys
from pathlib import Path

import pytest
from sqlmodel import create_engine

from backend import checks
from backend.db.engine import Database, make_engine
from backend.db.migrate import migrate
from backend.payments.choose import opened, pays_out
from backend.payments.port import ProviderAway
from backend.payments.sandbox import SandboxProvider
from backend.problems import StartError
from backend.settings import Settings, read_settings
from tests.fakes.wechat import PLATFORM_KEY_ID, private_pem, public_pem

SANDBOX = {
    "provider_api_key": "sk_test_lendwatt",
    "provider_webhook_secret": "whsec_" + "c2VjcmV0IG9mIHRoZSByaWdodCBsZW5ndGg=",
}
STRIPE = {
    "stripe_api_key": "sk_test_lendwatt",
    "stripe_webhook_secret": "whsec_test",
    "stripe_url": "http://127.0.0.1:1",
}


@pytest.fixture
def database():
    engine = create_engine("sqlite://")
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def wechat(tmp_path: Path, wechat_keys):
    merchant_key, platform_key = wechat_keys
    ours, theirs = tmp_path / "apiclient_key.pem", tmp_path / "pub_key.pem"
    ours.write_text(private_pem(merchant_key))
    theirs.write_text(public_pem(platform_key))
    return {
        "wechat_mchid": "1900000109",
        "wechat_appid": "wxd678efh567hg6787",
        "wechat_service_id": "2002000000000558128851361561536",
        "wechat_serial": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
        "wechat_api_v3_key": "k" * 32,
        "wechat_confirm_url": "https://lendwatt.example/wechat/confirm",
        "wechat_private_key_file": ours,
        "wechat_platform_key_file": theirs,
        "wechat_platform_key_id": PLATFORM_KEY_ID,
        "wechat_url": "http://127.0.0.1:1",
    }


def test_the_sandbox_is_asked_unless_another_is_chosen(database):
    with opened(Settings(**SANDBOX), database) as providers:
        assert list(providers) == ["sandbox"]
        assert isinstance(providers["sandbox"], SandboxProvider)


def test_verify_asks_with_the_keys_that_up_keeps(tmp_path):
    settings = Settings(data_dir=tmp_path, providers="stripe,sandbox", **STRIPE)
    engine = make_engine(settings.url_of_database())
    migrate(engine)
    engine.dispose()
    (tmp_path / "provider-api-key").write_text(SANDBOX["provider_api_key"])
    (tmp_path / "provider-webhook-secret").write_text(SANDBOX["provider_webhook_secret"])

    with checks.asked(settings, settings.url_of_database()) as providers:
        assert list(providers) == ["stripe", "sandbox"]


def test_verify_says_that_it_has_no_key_to_ask_with(tmp_path):
    with (
        pytest.raises(StartError, match="--data-dir"),
        checks.asked(Settings(data_dir=tmp_path), "sqlite://"),
    ):
        pass


def test_the_first_one_named_is_asked_for_new_payments(monkeypatch, database, wechat):
    monkeypatch.setenv("LENDWATT_PROVIDERS", "wechat, stripe,sandbox,stripe")

    with opened(read_settings(**SANDBOX, **STRIPE, **wechat), database) as providers:
        assert list(providers) == ["wechat", "stripe", "sandbox"]
        assert pays_out(providers) == "stripe"
        for provider in (providers["wechat"], providers["stripe"]):
            with pytest.raises(ProviderAway):
                provider.find("01JNOBODYANSWERS")


@pytest.mark.parametrize("named", ["", "paypal", "stripe,paypal", " , "])
def test_a_provider_that_there_is_not_is_refused_by_name(monkeypatch, named):
    monkeypatch.setenv("LENDWATT_PROVIDERS", named)

    with pytest.raises(StartError, match="LENDWATT_PROVIDERS"):
        read_settings()


def test_what_a_provider_lacks_is_said_by_its_name(database):
    with (
        pytest.raises(StartError) as wrong,
        opened(Settings(providers="stripe", stripe_api_key="sk_test_x"), database),
    ):
        pass

    assert str(wrong.value) == (
        "The provider stripe needs LENDWATT_STRIPE_WEBHOOK_SECRET: set it, or take stripe out of "
        "LENDWATT_PROVIDERS."
    )


def test_all_that_a_provider_lacks_is_said_at_once(database):
    with (
        pytest.raises(StartError, match="LENDWATT_WECHAT_MCHID, LENDWATT_WECHAT_APPID"),
        opened(Settings(providers="wechat"), database),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wechat_api_v3_key": "short"}, "API v3 key is not 32 bytes"),
        ({"wechat_private_key_file": Path("nowhere.pem")}, "LENDWATT_WECHAT_PRIVATE_KEY_FILE"),
        ({"wechat_private_key_file": Path(__file__)}, "private key is not a key in PEM"),
        ({"wechat_platform_key_file": Path(__file__)}, "neither a certificate nor a public key"),
        ({"wechat_platform_key_id": ""}, "neither a certificate nor a public key"),
    ],
)
def test_a_key_that_cannot_be_used_is_said(database, wechat, change, said):
    settings = Settings(providers="wechat", **wechat | change)

    with pytest.raises(StartError, match=said), opened(settings, database):
        pass


@pytest.mark.parametrize(("name", "library"), [("stripe", "stripe"), ("wechat", "wechatpayv3")])
def test_an_extra_that_is_not_installed_is_said(monkeypatch, database, wechat, name, library):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.partition(".")[0] == library:
            raise ModuleNotFoundError(name=library)
        return real(module, *args, **kwargs)

    for module in ("stripe", "wechat", "wechat_keys"):
        monkeypatch.delitem(sys.modules, f"backend.payments.{module}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)

    settings = Settings(providers=name, **STRIPE, **wechat)
    with (
        pytest.raises(StartError, match=rf"install 'lendwatt\[{name}\]'"),
        opened(settings, database),
    ):
        pass
