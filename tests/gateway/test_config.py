import base64
import importlib.resources
import tomllib
from hashlib import sha256
from io import StringIO
from pathlib import Path

import pytest
import trustme
from rich.console import Console

from switchgear.core.errors import ConfigError
from switchgear.core.snapshot import Delivery, Kind, decode_snapshot, encode_snapshot
from switchgear.gateway.config import (
    Config,
    ConfigFileError,
    Durability,
    Inspected,
    OnJournalFailure,
    inspect,
    load,
    load_file,
    snapshot_of,
)
from switchgear.gateway.config_decode import Decoder
from switchgear.gateway.findings import Findings
from switchgear.gateway.lines import Lines
from switchgear.gateway.reference import tables

ROOT = Path(__file__).parents[2]
HASH = sha256(b"a key that nobody guesses").hexdigest()
OTHER_HASH = sha256(b"another").hexdigest()

KEY = f'[[keys]]\nname = "app"\nsha256 = "{HASH}"\n'
BACKEND = '[backends.box]\nkind = "onprem"\nbase_url = "http://10.0.0.5:8000/v1"\n'
SECOND = '[backends.spare]\nkind = "edge"\nbase_url = "unix:/run/spare.sock"\n'
TARGETS = 'targets = [{ backend = "box", model = "m" }]\n'
BOTH = 'targets = [{ backend = "box", model = "m" }, { backend = "spare", model = "m" }]\n'
MODEL = f"[models.chat]\n{TARGETS}"
GOOD = KEY + BACKEND + MODEL
PAIR = KEY + BACKEND + SECOND + f"[models.chat]\n{BOTH}"


def judge(text: str, **environment: str) -> Inspected:
    return inspect(text.encode(), environment=environment)


def test_a_small_file_has_defaults_for_all_else() -> None:
    config, warnings = load(GOOD.encode(), name="small.toml")
    assert warnings == ()
    assert config.gateway.listen == ("127.0.0.1:8080",)
    assert config.gateway.admin == "127.0.0.1:8081"
    assert config.gateway.durability is Durability.BATCHED
    assert config.gateway.on_journal_failure is OnJournalFailure.SERVE
    assert config.gateway.tls is None
    assert config.keys[0].name == "app"
    assert config.backends["box"].kind is Kind.ONPREM
    assert config.models["chat"].targets[0].backend == "box"
    assert config.models["chat"].delivery is Delivery.STREAM


PROBLEMS = [
    # the gateway
    ('[gateway]\ndurabilty = "strict" # <-\n' + GOOD, "gateway.durabilty", "not a known key", 'mean "durability"'),
    ("[gateway]\nnonsense = 1 # <-\n" + GOOD, "gateway.nonsense", "not a known key", "Known here: listen, admin, workers"),
    ("[gatewy] # <-\nworkers = 1\n" + GOOD, "gatewy", "not a known key", 'mean "gateway"'),
    ("[gateway.limits]\nbody_byte = 1 # <-\n" + GOOD, "gateway.limits.body_byte", "not a known key", 'mean "body_bytes"'),
    ("[gateway]\nhead_s = 1 # <-\n" + GOOD, "gateway.head_s", "not a known key", "in the table gateway.limits"),
    ("[gateway]\nworkers = 0 # <-\n" + GOOD, "gateway.workers", "at least 1, not 0", "leave it out"),
    ('[gateway]\nworkers = "4" # <-\n' + GOOD, "gateway.workers", "at least 1, not text", "without quotes"),
    ('[gateway]\nworkers = "" # <-\n' + GOOD, "gateway.workers", "at least 1, not empty text", "without quotes"),
    ("[gateway]\nworkers = true # <-\n" + GOOD, "gateway.workers", "not true", "Write a whole number"),
    (f"[gateway]\nworkers = {2**64} # <-\n" + GOOD, "gateway.workers", "not one so large", "leave it out"),
    ("[gateway]\ndrain_s = inf # <-\n" + GOOD, "gateway.drain_s", "at least 0, not inf", "leave it out"),
    ("[gateway]\njournal_keep_days = nan # <-\n" + GOOD, "gateway.journal_keep_days", "above 0, not nan", ""),
    ("[gateway]\ndrain_s = 1979-05-27 # <-\n" + GOOD, "gateway.drain_s", "not a date", "Write a number"),
    ('[gateway]\ndurability = "strcit" # <-\n' + GOOD, "gateway.durability", 'not "strcit"', 'mean "strict"'),
    ("[gateway]\nadmin = 8081 # <-\n" + GOOD, "gateway.admin", "must be text, not 8081", "into quotes"),
    ('[gateway]\nstate_dir = "" # <-\n' + GOOD, "gateway.state_dir", "not empty", "another"),
    ('[gateway]\nstate_dir = "a\\nb" # <-\n' + GOOD, "gateway.state_dir", "line break", "one line"),
    ('[gateway]\nlisten = "127.0.0.1:1" # <-\n' + GOOD, "gateway.listen", "not text", "into brackets"),
    ("[gateway]\nlisten = [] # <-\n" + GOOD, "gateway.listen", "at least one, not an empty array", "leave the key out"),
    ('[gateway]\nlisten = [\n"a:1" , # fine\n8080 # <-\n]\n' + GOOD, "gateway.listen[1]", "must be text", "into quotes"),
    ('[gateway]\nlisten = ["localhost"] # <-\n' + GOOD, "gateway.listen[0]", "is not host:port", "For example"),
    ('[gateway]\nlisten = ["unix:"] # <-\n' + GOOD, "gateway.listen[0]", "names no path", "Write unix:"),
    (
        '[gateway]\nlisten = [\n"127.0.0.1:80",\n"localhost:80" # <-\n]\n' + GOOD,
        "gateway.listen[1]",
        "taken by gateway.listen[0]",
        "its own",
    ),
    ('[gateway]\nlisten = ["unix:/a/b",\n"unix:/a/./b"] # <-\n' + GOOD, "gateway.listen[1]", "is taken by", "its own"),
    ('[gateway]\nlisten = ["127.0.0.1:80"]\nadmin = "127.0.0.1:80" # <-\n' + GOOD, "gateway.admin", "is taken by", "its own"),
    ('[gateway]\nlisten = ["127.0.0.1:8081"] # <-\n' + GOOD, "gateway.listen[0]", "where admin is by default", "its own"),
    ('[gateway]\nadmin = "127.0.0.1:8080" # <-\n' + GOOD, "gateway.admin", "is taken by gateway.listen", "its own"),
    ("gateway = 3 # <-\n" + GOOD, "gateway", "must be a table, not 3", "Write a table"),
    ("[[gateway]] # <-\nworkers = 1\n" + GOOD, "gateway", "must be a table, not an array", "single brackets"),
    ('[control] # <-\nlisten = ["127.0.0.1:8082"]\n' + GOOD, "control", "runs none", "Remove the table"),
    ("[control] # <-\n" + GOOD, "control", "runs none", "Remove the table"),
    # keys
    (BACKEND + MODEL + '[[keys]] # <-\nname = "a"\n', "keys[0].sha256", "is missing", "64 lower-case hexadecimal"),
    (BACKEND + MODEL + f'[keys] # <-\nname = "a"\nsha256 = "{HASH}"\n', "keys", "must be an array of tables", "header into two"),
    (GOOD + f'[[keys]]\nname = "a@b" # <-\nsha256 = "{OTHER_HASH}"\n', "keys[1].name", "must be a name", "another"),
    (GOOD + f'[[keys]]\nname = "b"\nsha256 = "{OTHER_HASH[:-1]}" # <-\n', "keys[1].sha256", "64 lower-case", "key new"),
    (GOOD + f'[[keys]]\nname = "app" # <-\nsha256 = "{OTHER_HASH}"\n', "keys[1].name", "the name of keys[0]", "its own"),
    (GOOD + f'[[keys]]\nname = "b"\nsha256 = "{HASH}" # <-\n', "keys[1].sha256", "is the key of keys[0]", "of its own"),
    (
        GOOD + f'[[keys]]\nname = "b"\nsha256 = "{OTHER_HASH}"\nmodels = ["chat",\n"chatt"] # <-\n',
        "keys[1].models[1]",
        'names no model: "chatt"',
        'mean "chat"',
    ),
    (GOOD + f'[[keys]]\nname = "b"\nsha256 = "{OTHER_HASH}"\nkey = "x" # <-\n', "keys[1].key", "is a secret", "sha256"),
    # backends
    ("[models.chat]\n" + TARGETS.replace("box", "boxx") + BACKEND + KEY, "models.chat.targets[0].backend", "names no backend", '"box"'),
    (GOOD.replace('kind = "onprem"', 'kind = "on-prem" # <-'), "backends.box.kind", 'not "on-prem"', 'mean "onprem"'),
    (GOOD.replace('kind = "onprem"\n', ""), "backends.box.kind", "is missing", "one of cloud"),
    (GOOD + '[backends.box.tls]\ncert = "k" # <-\n', "backends.box.tls.cert", "does not exist", "relative"),
    (GOOD + f'[backends.box.tls]\nkey = "{__file__}" # <-\n', "backends.box.tls.key", "the key of no certificate", "Add cert"),
    (GOOD.replace("http://10.0.0.5:8000/v1", "ftp://x"), "backends.box.base_url", "is not an http://", "For example"),
    (GOOD.replace("http://10.0.0.5:8000/v1", "http://h/?a=1"), "backends.box.base_url", "no query", "For example"),
    (GOOD.replace("http://10.0.0.5:8000/v1", "http://u:p@h/v1"), "backends.box.base_url", "credentials", "api_key_env"),
    (GOOD.replace("http://10.0.0.5:8000/v1", "http://h/a b"), "backends.box.base_url", "a space", "Percent-encode"),
    (GOOD.replace("http://10.0.0.5:8000/v1", "http://h:x/"), "backends.box.base_url", "not a URL", "For example"),
    (GOOD.replace("http://10.0.0.5:8000/v1", "unix:"), "backends.box.base_url", "names no socket", "unix:/"),
    (GOOD.replace("[models", 'protocol = "openia" # <-\n[models'), "backends.box.protocol", "names no protocol", '"openai"'),
    (GOOD.replace("[models", "max_inflight = 3 # <-\n[models"), "backends.box.max_inflight", "not a known", '"max_in_flight"'),
    (GOOD.replace("[models", "connect_s = 3 # <-\n[models"), "backends.box.connect_s", "not a known", "backends.box.timeouts"),
    (GOOD.replace("[models", 'api_key = "x" # <-\n[models'), "backends.box.api_key", "is a secret", "api_key_env"),
    (GOOD.replace("[models", 'db-password = "x" # <-\n[models'), "backends.box.db-password", "is a secret", "api_key_env"),
    (GOOD.replace("[models", 'api_key_env = "sk-1" # <-\n[models'), "backends.box.api_key_env", "is not the name", "never the key"),
    (GOOD.replace("[models", 'api_key_file = "/none" # <-\n[models'), "backends.box.api_key_file", "does not exist", "relative"),
    (
        GOOD.replace("[models", f'api_key_env = "K"\napi_key_file = "{__file__}" # <-\n[models'),
        "backends.box.api_key_file",
        "beside api_key_env",
        "one of the two",
    ),
    (
        GOOD.replace("[models", 'headers = { Authorization = "Bearer x" } # <-\n[models'),
        "backends.box.headers.Authorization",
        "is a secret",
        "api_key_env",
    ),
    (GOOD.replace("[models", 'headers = { host = "x" } # <-\n[models'), "backends.box.headers.host", "writes itself", "Remove"),
    (GOOD.replace("[models", 'headers = { "a b" = "x" } # <-\n[models'), 'backends.box.headers."a b"', "not the name", "letters"),
    (GOOD.replace("[models", 'headers = { a = "€" } # <-\n[models'), "backends.box.headers.a", "no header may hold", "Latin-1"),
    (GOOD.replace("[models", "headers = 3 # <-\n[models"), "backends.box.headers", "must be a table, not 3", "Write a table"),
    (GOOD.replace("[models", "headers = { a = 1 } # <-\n[models"), "backends.box.headers.a", "must be text, not 1", "quotes"),
    (
        GOOD.replace("[models", "timeouts = { first_token_s = 200.0 } # <-\n[models"),
        "backends.box.timeouts.first_token_s",
        "(200) is longer than total_s (120)",
        "Make it shorter",
    ),
    (GOOD.replace("[backends.box]", '[backends."b@x"]').replace('"box"', '"b@x"'), 'backends."b@x"', "has an @", "without @"),
    (GOOD.replace("[backends.box]", '[backends."b x"]').replace('"box"', '"b x"'), 'backends."b x"', "not a name", "letters"),
    (KEY + MODEL, "backends", "is missing", "[backends.NAME]"),
    (KEY + MODEL + "[backends] # <-\n", "backends", "is empty", "[backends.NAME]"),
    # models
    (GOOD + '[models."a@b"] # <-\n' + TARGETS, 'models."a@b"', "has an @", "without @"),
    (GOOD + "[models.CHAT] # <-\n" + TARGETS, "models.CHAT", 'the model "chat" in capitals only', "mistaken"),
    (GOOD + "[models.gpt-4.1] # <-\n" + TARGETS, "models.gpt-4.1", "begins a table", '[models."gpt-4.1"]'),
    (GOOD + "[models.l-3.1.8b] # <-\n" + TARGETS, "models.l-3.1", "begins a table", '[models."l-3.1.8b"]'),
    (GOOD + "[models.chat.more] # <-\na = 1\nb = 2\n", "models.chat.more", "not a known key", "Known here: targets"),
    (GOOD + "[models.other] # <-\n", "models.other.targets", "is missing", "an array of tables"),
    (GOOD + "[models.other]\ntargets = [] # <-\n", "models.other.targets", "nowhere to go", "at least one"),
    (GOOD + '[models.other]\ntargets = "box" # <-\n', "models.other.targets", "not text", "brackets"),
    (GOOD + '[models.other]\ntargets = [{ backend = "box" }] # <-\n', "models.other.targets[0].model", "is missing", "text"),
    (GOOD + '[models.other]\ntargets = [{ backend = "box", model = "" }] # <-\n', "models.other.targets[0].model", "is empty", "name"),
    (
        GOOD + '[models.other]\ntargets = [{ backend = "box", model = "a" },\n{ backend = "box", model = "a" }] # <-\n',
        "models.other.targets[1]",
        "the same as models.other.targets[0]",
        "Remove one",
    ),
    (GOOD + 'strategy = "prioritty" # <-\n', "models.chat.strategy", 'names no strategy: "prioritty"', '"priority"'),
    (GOOD + 'strategy = "fastest" # <-\n', "models.chat.strategy", "names no strategy", "Strategies: priority, weighted"),
    (
        KEY + BACKEND + '[models.chat]\nstrategy = "weighted"\ntargets = [{ backend = "box", model = "m", weight = 0 }] # <-\n',
        "models.chat.targets",
        "all have the weight 0",
        "above 0",
    ),
    (GOOD + "retry = { attempts = 0 } # <-\n", "models.chat.retry.attempts", "not 0", "leave it out"),
    (GOOD + "retry = { backoff_s = 9.0 } # <-\n", "models.chat.retry.backoff_s", "longer than max_backoff_s (5)", "shorter"),
    (PAIR + "hedge = {} # <-\n", "models.chat.hedge", "neither of", "one of the two"),
    (PAIR + "hedge = { after_s = 1, after_percentile = 9 } # <-\n", "models.chat.hedge", "both of", "one of the two"),
    (PAIR + "hedge = { after = 1 } # <-\n", "models.chat.hedge.after", "not a known key", '"after_s"'),
    (PAIR + "hedge = { after_s = 0 } # <-\n", "models.chat.hedge.after_s", "above 0, not 0", "leave it out"),
    (PAIR + "hedge = { after_percentile = 100 } # <-\n", "models.chat.hedge.after_percentile", "below 100", "leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path", "message", "remedy"), PROBLEMS, ids=[f"{i}-{case[1]}" for i, case in enumerate(PROBLEMS)]
)
def test_each_problem_is_told_alone_with_path_line_and_remedy(text: str, path: str, message: str, remedy: str) -> None:
    judged = judge(text, K="set")
    assert judged.config is None
    assert [found.path for found in judged.problems] == [path]
    (found,) = judged.problems
    assert message in found.message
    assert remedy in found.remedy
    if "# <-" in text:
        assert found.line is not None
        assert "# <-" in text.split("\n")[found.line - 1]


WARNINGS = [
    ('[gateway]\nlisten = ["0.0.0.0:8080"] # <-\n' + GOOD, "gateway.listen[0]", "without TLS"),
    ('[gateway]\nlisten = ["[::]:8080"] # <-\n' + GOOD, "gateway.listen[0]", "without TLS"),
    ('[gateway]\nadmin = "10.0.0.1:8081" # <-\n' + GOOD, "gateway.admin", "asks for no key"),
    (BACKEND + MODEL, "keys", "every call will be refused"),
    (GOOD + f'[[keys]]\nname = "b"\nsha256 = "{OTHER_HASH}"\nmodels = [] # <-\n', "keys[1].models", "may call nothing"),
    (SECOND.replace("edge]", "edge] # <-") + GOOD, "backends.spare", "is no target"),
    (GOOD.replace("onprem", "cloud"), "backends.box.base_url", "a cloud without TLS"),
    (GOOD.replace("[models", 'api_key_env = "UNSET" # <-\n[models'), "backends.box.api_key_env", "not set here"),
    (GOOD.replace("[models", 'headers = { x-my-token = "a" } # <-\n[models'), "backends.box.headers.x-my-token", "looks like"),
    (GOOD.replace("[models", "tls = { verify = true } # <-\n[models"), "backends.box.tls", "has no effect"),
    (GOOD.replace("http:", "https:").replace("[models", "tls = { verify = false } # <-\n[models"), "backends.box.tls.verify", "unverified"),
    (
        GOOD.replace("[models", "prices = { input_usd_per_mtok = 0, output_usd_per_mtok = 0 } # <-\n[models"),
        "backends.box.prices",
        "cost nothing",
    ),
    (GOOD.replace(' }]', ', weight = 2 }] # <-'), "models.chat.targets[0].weight", "no effect with strategy priority"),
    (GOOD + "hedge = { after_s = 1 } # <-\n", "models.chat.hedge", "one target only"),
    (GOOD + "max_cost_usd = 1\n", "models.chat.targets[0]", "is never asked"),
    (GOOD + 'strategy = "cost"\n', "models.chat.targets[0]", "comes last"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path", "message"), WARNINGS, ids=[f"{i}-{case[1]}" for i, case in enumerate(WARNINGS)]
)
def test_what_may_be_meant_is_warned_of_and_served(text: str, path: str, message: str) -> None:
    judged = judge(text)
    assert judged.problems == ()
    assert judged.config is not None
    assert [found.path for found in judged.warnings] == [path]
    assert message in judged.warnings[0].message
    if "# <-" in text:
        assert "# <-" in text.splitlines()[(judged.warnings[0].line or 0) - 1]


@pytest.mark.parametrize(
    "text",
    [
        '[gateway]\nlisten = ["127.0.0.1:0", "127.0.0.1:0"]\nadmin = "127.0.0.1:0"\n' + GOOD,  # each takes a free port
        '[gateway]\nlisten = ["127.0.0.1:80", "127.0.0.2:80", "[::1]:80", "unix:/80"]\n' + GOOD,
        GOOD.replace("http://10.0.0.5:8000/v1", "http://127.0.0.1:1/").replace("onprem", "cloud"),
        GOOD.replace(
            "[models", "timeouts = { total_s = 3.0 }\n[models"
        ),  # shorter than other defaults, which then never count
        GOOD + '[models."gpt-4.1"]\n' + TARGETS,
        GOOD + "retry = { max_backoff_s = 0.1 }\n",
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
    ],
)
def test_what_is_fine_is_left_alone(text: str) -> None:
    judged = judge(text)
    assert judged.problems == ()
    assert judged.warnings == ()


def test_every_problem_of_a_file_is_told_at_once_in_its_order() -> None:
    text = "".join(case[0].replace(GOOD, "") for case in PROBLEMS[:2])  # two [gateway] tables: refused as TOML
    assert [found.path for found in judge(text + GOOD).problems] == ["gateway"]
    broken = (
        '[gateway]\nworkers = 0\ndurabilty = "strict"\n[gateway.limits]\nhead_s = "10s"\n'
        '[[keys]]\nname = "@"\n'
        '[backends.box]\nkind = "clowd"\napi_key = "x"\n[backends.box.timeouts]\nconnect_s = -1\nidle = 3\n'
        '[models.chat]\nstrategy = "prioritty"\ntargets = [{ backend = "bix", model = "m" }, 3]\nretry = { attempts = 0 }\n'
    )
    assert [(found.line, found.path) for found in judge(broken).problems] == [
        (2, "gateway.workers"),
        (3, "gateway.durabilty"),
        (5, "gateway.limits.head_s"),
        (6, "keys[0].sha256"),
        (7, "keys[0].name"),
        (8, "backends.box.base_url"),
        (9, "backends.box.kind"),
        (10, "backends.box.api_key"),
        (12, "backends.box.timeouts.connect_s"),
        (13, "backends.box.timeouts.idle"),
        (15, "models.chat.strategy"),
        (16, "models.chat.targets[1]"),
        (16, "models.chat.targets[0].backend"),
        (17, "models.chat.retry.attempts"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b"[gateway]\nworkers = four\n", 2, "Invalid value"),
        (b"[gateway]\nworkers\n", 2, "Expected '='"),
        (b'[gateway]\nadmin = "x\n', 2, ""),
        (b"[gateway\n", 1, "Expected ']'"),
        (b"a = 1 b = 2\n", 1, "Expected newline"),
        (b"a = [1,\n2\n", 2, "Unclosed array"),
        (b"[gateway]\nworkers = 1\nadmin = 'x'\nworkers = 2\n", 4, "given again; it stands on line 2"),
        (b"[a]\n[b]\n[a]\n", 3, "given again; it stands on line 1"),
        (b"a = " + b"[" * 5000, None, "too deeply"),
        (b"a = " + b"9" * 5000, None, "thousands of digits"),
        (b"\n\nname = \"caf\xe9\"\n", 3, "is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_not_toml_is_told_with_its_line(text: bytes, line: int | None, message: str) -> None:
    judged = inspect(text)
    assert judged.config is None
    (found,) = judged.problems
    assert found.line == line
    assert message in found.message
    assert found.remedy


@pytest.mark.parametrize(
    "secret", ["", "demo", "changeme", "test", "secret", "password", "sk-test", "sk-sg-demo", "123456"]
)
def test_keys_that_anyone_would_guess_are_refused(secret: str) -> None:
    (found,) = judge(GOOD.replace(HASH, sha256(secret.encode()).hexdigest())).problems
    assert found.path == "keys[0].sha256"
    assert "key new" in found.remedy


@pytest.mark.parametrize(
    "place",
    [
        'api_key = "SECRET"',
        'api_key_env = "SECRET"',
        'api_key_env = "sk-SECRET"',
        'api_key_file = "SECRET"',
        'token = "SECRET"',
        'headers = { x-api-key = "SECRET" }',
        'headers = { x-my-token = "SECRET", n = "SECRET\\n" }',
        'timeouts = "SECRET"',
        'max_in_flight = "SECRET"',
        'unknown = "SECRET"',
        'probe = ["SECRET"]',
    ],
)
def test_nothing_that_may_be_a_secret_is_shown(place: str) -> None:
    judged = judge(GOOD.replace("[models", f"{place}\n[models"))
    assert judged.problems or judged.warnings
    for found in (*judged.problems, *judged.warnings):
        assert "SECRET" not in f"{found}{found.path}"


def test_a_password_in_a_url_is_not_shown() -> None:
    for url in (
        "http://user:SECRET@host/v1",
        "http://SECRET@h:bad/v1",
        "http://h/v1?key=SECRET",
        "http://h/SECRET#SECRET",
    ):
        for found in judge(GOOD.replace("http://10.0.0.5:8000/v1", url)).problems:
            assert "SECRET" not in str(found)


def test_a_printed_configuration_masks_headers_that_look_like_secrets() -> None:
    text = GOOD.replace("[models", 'headers = { x-my-token = "SECRET", x-team = "shown" }\n[models')
    config = load(text.encode(), name="x").config
    out = StringIO()
    Console(file=out, width=200).print(config)
    for printed in (repr(config), str(config), f"{config}", out.getvalue()):
        assert "SECRET" not in printed
        assert "***" in printed
        assert "shown" in printed
    assert config.backends["box"].headers["x-my-token"] == "SECRET"


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that examples/full.toml names."""
    monkeypatch.chdir(tmp_path)
    authority = trustme.CA()
    pair = authority.issue_cert("gateway.internal")
    (tmp_path / "tls").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/vllm-api-key").write_text("a key")
    (tmp_path / "secrets/canary").write_text("canary-8c1f52d07ba94e66")
    (tmp_path / "secrets/customers.txt").write_text("Contoso\n")
    starting = importlib.resources.files("switchgear.policy") / "starting"
    (tmp_path / "policies").mkdir()
    for name in ("baseline", "people", "purposes", "residency"):
        (tmp_path / f"policies/{name}.cedar").write_text((starting / f"{name}.cedar").read_text())
    pair.cert_chain_pems[0].write_to_path("tls/gateway.pem")
    pair.private_key_pem.write_to_path("tls/gateway.key")
    for name in ("callers-ca", "internal-ca"):
        authority.cert_pem.write_to_path(f"tls/{name}.pem")
    return tmp_path


TLS = '[gateway.tls]\ncert = "tls/gateway.pem"\nkey = "tls/gateway.key"\n'


def test_certificates_are_tried(certificates: Path) -> None:
    assert judge(TLS + GOOD).problems == ()
    assert judge(TLS + '[gateway]\nlisten = ["0.0.0.0:443"]\n' + GOOD).warnings == ()
    trustme.CA().issue_cert("other").private_key_pem.write_to_path("tls/gateway.key")
    (found,) = judge(TLS + GOOD).problems
    assert (found.path, found.line) == ("gateway.tls", 1)
    assert "cannot use certificate" in found.message
    (certificates / "tls/gateway.key").unlink()
    (found,) = judge(TLS + GOOD).problems
    assert (found.path, found.line) == ("gateway.tls.key", 3)


def test_a_client_authority_is_needed_to_require_client_certificates(certificates: Path) -> None:
    (found,) = judge(TLS + "require_client = true\n" + GOOD).problems
    assert found.path == "gateway.tls.require_client"
    assert judge(TLS + 'require_client = true\nclient_ca = "tls/callers-ca.pem"\n' + GOOD).problems == ()
    (certificates / "tls/callers-ca.pem").write_text("no certificate")
    (found,) = judge(TLS + 'client_ca = "tls/callers-ca.pem"\n' + GOOD).problems
    assert found.path == "gateway.tls"


def test_an_error_names_the_file_and_every_problem(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[gateway]\nworkers = 0\ndrain = 3\n" + GOOD)
    with pytest.raises(ConfigError) as caught:
        load_file(file)
    assert isinstance(caught.value, ConfigFileError)
    assert caught.value.code == "invalid_configuration"
    assert [problem.line for problem in caught.value.problems] == [2, 3]
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{file}: line ") for line in lines)


def test_a_file_that_cannot_be_read_is_a_problem_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match="cannot be read: No such file"):
        load_file(tmp_path / "none.toml")
    with pytest.raises(ConfigFileError, match="cannot be read: Is a directory"):
        load_file(tmp_path)


def test_a_snapshot_has_what_the_file_says_and_an_id_of_its_content() -> None:
    config = load(PAIR.encode(), name="x").config
    snapshot = snapshot_of(config)
    assert (snapshot.backends, snapshot.models, snapshot.keys) == (config.backends, config.models, config.keys)
    assert snapshot.id == snapshot_of(load(f"# other text\n{PAIR}".encode(), name="y").config).id
    assert snapshot.id != snapshot_of(load(GOOD.encode(), name="z").config).id
    assert decode_snapshot(encode_snapshot(snapshot)) == snapshot


FULL = {
    "CLOUD_API_KEY": "k",
    "WIKI_CANARY": "canary-41d1c8a7e0b2",
    "SWITCHGEAR_CACHE_KEYS": f"one:{base64.b64encode(bytes(32)).decode()}",
    "SWITCHGEAR_SKETCH_KEYS": f"one:{base64.b64encode(bytes(32)).decode()}",
}


def test_a_screen_may_look_for_words_of_ones_own_alone() -> None:
    words = '[[screen.word_lists]]\nname = "project"\nwords = ["Nightjar"]\n'
    found = judge(f"{GOOD}\n[screen]\ndetectors = []\n{words}")
    assert (found.problems, found.warnings) == ((), ())


OTHERWISE = {"[cache.disk]": {"key_file"}}
"""Keys of which a table, where there is only one such table, may have the one or the other."""


def test_the_full_example_is_whole_and_shows_every_key(certificates: Path) -> None:
    text = (ROOT / "examples/full.toml").read_text(encoding="utf-8")
    warnings = load(text.encode(), name="full.toml", environment=FULL).warnings
    assert {one.path for one in warnings} <= {"screen.external", "screen.external.model"}, (
        "what need not be installed here"
    )
    raw = tomllib.loads(text)
    doc = Decoder(raw, Findings(Lines(text)))
    assert doc.decode(raw, Config, ()) == load(text.encode(), name="full.toml").config
    for table in tables():
        shown = {key for path, _ in doc.all(table.struct) for key in doc.names(path)}
        assert shown | OTHERWISE.get(table.title, set()) == set(table.struct.__struct_encode_fields__), table.title
