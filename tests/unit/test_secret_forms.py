"""A secret of any kind is masked wherever it stands, by all that mask, and what only looks like one is not."""

import base64
import sys

import pytest

from leyden import secret_forms, secrets

HEX = "0123456789abcdef0123456789abcdef01234567"
WORD = "aB3dE5fG7hI9kL1mN2oP4qR6sT8uV0wX"
BASIC = base64.b64encode(b"me:s3cret-pw").decode()

TOKENS = {
    "Hugging Face": f"hf_{WORD}",
    "OpenAI": f"sk-proj-{WORD}",
    "Anthropic": f"sk-ant-api03-{WORD}",
    "GitHub": f"ghp_{WORD}abcd",
    "GitHub, fine-grained": f"github_pat_{WORD}",
    "GitLab": f"glpat-{WORD[:20]}",
    "Slack": f"xoxb-123456789012-{WORD}",
    "Slack, app": f"xapp-1-A0123-{WORD}",
    "AWS": "AKIAIOSFODNN7EXAMPLE",
    "AWS, temporary": "ASIAIOSFODNN7EXAMPLE",
    "Google": f"AIza{WORD}abc",
    "Google, access": f"ya29.{WORD}",
    "Google, client": f"GOCSPX-{WORD}",
    "W&B": f"wandb_v1_{WORD}",
    "JWT": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{WORD}",
    "Neptune": f"eyJhcGlfYWRkcmVzcyI6{WORD}",
    "Stripe": f"sk_live_{WORD}",
    "Stripe, restricted": f"rk_test_{WORD}",
    "Stripe, webhook": f"whsec_{WORD}",
    "Twilio": f"SK{HEX[:32]}",
    "npm": f"npm_{WORD}abcd",
    "PyPI": f"pypi-AgEIcHlwaS5vcmc{WORD}",
    "SendGrid": f"SG.{WORD}.{WORD}",
    "Docker": f"dckr_pat_{WORD}",
    "DigitalOcean": f"dop_v1_{HEX}{HEX[:24]}",
    "Databricks": f"dapi{HEX[:32]}",
    "Replicate": f"r8_{WORD}",
    "Groq": f"gsk_{WORD}",
    "NVIDIA": f"nvapi-{WORD}",
    "Vault": f"hvs.{WORD}",
    "Shopify": f"shpat_{HEX[:32]}",
    "Kaggle": f"KGAT_{WORD}",
    "age": f"AGE-SECRET-KEY-1{WORD.upper()}{WORD.upper()}",
}
CONTEXTS = {  # what stands around, and the secret
    "password in a URL": ("https://{}@host/path", "me:hunter2"),
    "password in a URL, no user": ("redis://{}@host:6379/0", ":hunter2"),
    "password with a slash": ("amqp://{}@host", "me:ab/cd+ef"),
    "database": ("postgresql+psycopg2://{}@db.example.org:5432/x", "me:p%40ss"),
    "token in a URL": ("git+https://{}@host/repo.git", "0a1b2c3d4e5f"),
    "DSN": ("https://{}@o1.ingest.example.org/1", HEX[:32]),
    "api_key=": ("https://host/x?page=2&api_key={}", "abcd"),
    "token=": ("https://host/x?token={}&page=2", "abcdef"),
    "sig=": ("https://a.blob.core.windows.net/c?sv=2020&sig={}&sp=r", "aB3%2FdE5%3D"),
    "X-Amz-Signature": ("https://b.s3.amazonaws.com/k?X-Amz-Signature={}", HEX),
    "X-Amz-Credential": ("https://b.s3.amazonaws.com/k?X-Amz-Credential={}&x=1", "ABCD12%2F2026"),
    "X-Amz-Security-Token": ("https://b.s3.amazonaws.com/k?X-Amz-Security-Token={}", "IQoJb3JpZ2lu1"),
    "X-Goog-Signature": ("https://storage.googleapis.com/b?X-Goog-Signature={}", HEX),
    "Authorization": ("Authorization: Bearer {}", "abc123"),
    "Bearer": ("sent Bearer {} to it", "abcd1234efgh"),
    "Bearer, only letters": ("sent Bearer {} to it", "abcdefghijklmnopqrstuvwxyz"),
    "Basic": ("Proxy-Authorization: Basic {}", BASIC),
    "Basic alone": ("sent Basic {} to it", BASIC.replace("z", "z")),
    "X-Api-Key": ("X-Api-Key: {}", "abc123"),
    "Private-Token": ("PRIVATE-TOKEN: {}", "abc123"),
    "Cookie": ("Cookie: {}", "session=abc123"),
    ".netrc": ("machine api.wandb.ai login user password {}", HEX),
    ".netrc, no login": ("machine api.wandb.ai password {}", HEX),
    ".netrc, second line": ("  login user password {}", "hunter2"),
    "AccountKey": ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=x", "aB3d/E5f+G7h=="),
    "SharedAccessKey": ("Endpoint=sb://a/;SharedAccessKeyName=x;SharedAccessKey={}", "aB3d/E5f+G7h=="),
    "SharedAccessSignature": ("BlobEndpoint=https://a/;SharedAccessSignature={}", "sv%3D2020%26aB3dE5"),
    "docker login": ("docker login -u me -p {} registry", "hunter2"),
    "mysql": ("mysql -u root -p{} db", "hunter2"),
    "curl": ("curl -s -u me:{} https://host", "hunter2"),
    "wandb login": ("wandb login --relogin {}", HEX),
    "Slack, webhook": ("https://hooks.slack.com/services/{}", "T00000000/B00000000/aB3dE5fG7hI9"),
    "Discord, webhook": ("https://discord.com/api/webhooks/{}", f"123456789/{WORD}"),
    "requests": ("get(url, auth=('me', '{}'))", "hunter2"),
    "kaggle.json": ('{{"username":"me","key":"{}"}}', HEX[:32]),
}
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nMIIEow1\nabcDEF2\n-----END OPENSSH PRIVATE KEY-----"
NAMES = """password passwd db_password DB_PASSWORD user.password passphrase passcode credentials client_secret secret
secrets api_key apiKey API-KEY x-api-key access_key aws_secret_access_key secret_key private_key signing_key
encryption_key account_key auth_token accessToken api_token bearer_token refresh_token session_token private_token
sas_token connection_string master_key subscription_key security_token personal_token bot_token
X-Amz-Signature amz_credential x_goog_signature trainer.logger[0].api_key""".split()
HARMLESS = {
    "pad_token": "[PAD]",
    "eos_token": "<|endoftext|>",
    "max_tokens": "512",
    "tokenizer": "bert-base-uncased-2",
    "tokenizer_name": "gpt2-medium-355M-v2",
    "sha256": HEX,
    "commit": HEX,
    "hash": f"sha256:{HEX}{HEX[:24]}",
    "url": "https://example.org/list?page=2&sort=key&limit=100",
    "port": "https://example.org:8080/path@2",
    "remote": "git@github.com:user/repo.git",
    "ssh": "ssh://git@github.com/user/repo.git",
    "secret_santa": "true",
    "secret_size": "5000",
    "password_field": "3",
    "password": "null",
    "author": "me.myself2@example.org",
    "monitor": "val_loss_epoch_2_of_9",
    "api_key": "${oc.env:WANDB_API_KEY}",
    "api_key_file": "keys/wandb.txt",
    "credentials": "/home/me/.config/credentials.json",
    "uri": "https://${oc.env:USER}:${oc.env:PASSWORD}@host",
    "database": "sqlite:////tmp/runs/mlflow.db",
    "bucket": "s3://bucket/path/2026-01-01",
    "image": "registry.example.org:5000/team/image@sha256:0123",
    "auth": "basic",
    "token": "word",
    "note": "the bearer of news, token by token, mkdir -p folder1 and srun -p gpu2",
    "task": "risk-averse-reinforcement-learning-2026",
    "key": "monkey-1234",
    "keys": "x=1, key=2, keyword=abc123",
}


def everywhere(text):
    """Return *text* as all that mask give it back: of a message, a tree (as value, in lists, as a key) and programs."""
    return [
        secrets.masked(text),
        secrets.masked_values({"note": [{"deep": [text]}]})["note"][0]["deep"][0],
        next(iter(secrets.masked_values({text: 1}))),
        secrets.masked_code(f"x = '''{text}'''"),
        secrets.masked(f"-old\n+{text}\n context"),
    ]


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_token_is_masked_by_its_form(token):
    assert secrets.holds_secret(f"see {token}.")
    assert secrets.is_secret("note", token)
    for text in (token, f"run-{token}", f"lr=0.1 {token}, seed=3", f"f('{token}')"):
        assert [masked for masked in everywhere(text) if token[8:] in masked] == []
        assert "seed=3" not in text or all("seed=3" in masked for masked in everywhere(text))


@pytest.mark.parametrize(("around", "secret"), CONTEXTS.values(), ids=CONTEXTS)
def test_a_secret_is_masked_by_what_stands_around_it(around, secret):
    text = around.format(secret)

    assert secrets.holds_secret(text)
    assert secrets.masked(text) == around.format("<secret>")
    assert [masked for masked in everywhere(text) if secret in masked] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["hunter2", "correct horse battery", "ab,cd&ef)gh1", "x"])
def test_the_verdict_on_a_name_is_the_same_in_trees_messages_and_programs(name, value):
    assert secrets.is_secret(name, value)
    assert secrets.masked_values({name: value}) == {name: "<secret>"}
    assert secrets.masked_values({name: [value, {name: [value]}]}) == {name: ["<secret>", {name: ["<secret>"]}]}
    assert secrets.masked(f"{name}='{value}'") == f"{name}='<secret>'"
    assert secrets.masked(f'{{"{name}": "{value}", "lr": 1}}') == f'{{"{name}": "<secret>", "lr": 1}}'
    assert secrets.masked_code(f"{name} = '{value}'") == f"{name} = '<secret>'"
    assert secrets.masked_code(f"{{'{name}': f\"{value}\", 'lr': 1}}") == f"{{'{name}': f\"<secret>\", 'lr': 1}}"
    if " " not in value:
        assert secrets.masked(f"+{name}={value} lr=1") == f"+{name}=<secret> lr=1"
        assert secrets.masked(f"  {name}: {value}") == f"  {name}: <secret>"


@pytest.mark.parametrize(("name", "value"), HARMLESS.items(), ids=HARMLESS)
def test_what_only_looks_like_a_secret_is_not_touched(name, value):
    texts = [f"{name}={value}", f"{name}: {value}", f"{name}: '{value}'", f'{{"{name}": "{value}"}}']

    assert not secrets.is_secret(name, value)
    assert secrets.masked_values({name: value}) == {name: value}
    for text in texts:
        assert (secrets.masked(text), secrets.masked_code(text)) == (text, text)


@pytest.mark.parametrize("count", [512, 3, True, 0.5, None])
def test_numbers_are_counts_unless_they_are_long_and_their_name_is_certain(count):
    assert not secrets.is_secret("password", count)
    assert not secrets.is_secret("max_tokens", 100_000)
    assert secrets.is_secret("pin_password", 12345678)


def test_a_private_key_is_masked_over_all_of_its_lines():
    for masked in (secrets.masked(PEM), secrets.masked_code(f"KEY = '''{PEM}'''"), secrets.masked_values([PEM])[0]):
        assert "MIIEow1" not in masked
        assert "abcDEF2" not in masked
        assert masked.count("\n") == PEM.count("\n")
    assert "MIIEow1" not in secrets.masked(repr(PEM))
    assert secrets.is_secret("note", PEM)


@pytest.mark.parametrize(
    "program",
    [
        "os.environ['SERVICE_API_KEY'] = '{}'",
        "os.environ.setdefault('SERVICE_API_KEY', '{}')",
        "os.getenv('SERVICE_TOKEN', 'x{}9aB3dE5fG7hI')",
        "parser.add_argument('--password', help='of the user', default='{}')",
        "if password == '{}':",
        "password: str | None = '{}'",
        "headers['Authorization'] = f'Bearer {}12ab'",
        "headers = {{'X-Api-Key': b'{}'}}",
        "connect(host, password=('{}'))",
        'api_key = "{}"  # of mine',
    ],
)
def test_literals_of_a_program_are_masked(program):
    assert "hunter2" not in secrets.masked_code(program.format("hunter2"))


@pytest.mark.parametrize(
    "program",
    [
        "api_key = settings.api_key",
        "password: str = Field()",
        "def login(password: str, token=None): pass",
        "tokens = tokenizer('two words')",
        "self.secret = secret",
        "names = ['password', 'token', 'api_key']",
        "pad_token = '[PAD]'",
        "url = f'https://{user}:{password}@{host}'",
        "headers = {'Authorization': f'Bearer {token}'}",
        "KEY = 'val_loss'",
        "import secrets  # tokens, keys",
    ],
)
def test_expressions_of_a_program_are_not(program):
    assert secrets.masked_code(program) == program


def test_a_command_line_is_masked_word_by_word_and_behind_its_options():
    words = [
        "train",
        "--password",
        "hunter2",
        "-p",
        "s3cret-x",
        "--token",
        WORD,
        "--epochs",
        "3",
        "api_key=abc",
        "seed=1",
    ]

    assert secrets.masked_words(words) == [
        "train", "--password", "<secret>", "-p", "<secret>", "--token", "<secret>", "--epochs", "3",
        "api_key=<secret>", "seed=1",
    ]  # fmt: skip
    assert secrets.masked("ran x --password hunter2 --epochs 3") == "ran x --password <secret> --epochs 3"


@pytest.mark.parametrize("value", ["q7w8e9r0t1y2", "p@ss w0rd/x?y", 'quo"te1\\n', "correct-horse-battery"])
def test_the_value_of_a_secret_variable_is_masked_in_every_way_it_is_written(value, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_PASSWORD", value)
    from urllib.parse import quote

    for written in (value, quote(value, safe=""), repr(value), base64.b64encode(value.encode()).decode()):
        assert "<secret>" in secrets.masked(f"it says {written} here")
    assert secrets.variable_of(f"x {value} y") == "MY_SERVICE_PASSWORD"


@pytest.mark.parametrize("value", ["true", "none", "basic", "postgres", "12", "/run/secrets/key", ""])
def test_an_ordinary_word_in_such_a_variable_is_not_masked_everywhere(value, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", value)

    assert secrets.masked(f"it says {value} and more") == f"it says {value} and more"


def test_masking_twice_changes_nothing_more():
    texts = [*TOKENS.values(), *(around.format(secret) for around, secret in CONTEXTS.values()), PEM]

    for text in texts:
        once = secrets.masked(text)
        assert secrets.masked(once) == once
        assert not secrets.holds_secret(once)


def test_of_a_long_patch_only_lines_with_a_stem_are_looked_at():
    """Masking stays fast: the patterns are tried where a stem was found, and nowhere else."""
    calls = []

    def trace(frame, event, argument):
        if event == "c_call" and getattr(argument, "__name__", "") in ("match", "sub", "search", "fullmatch"):
            calls.append(argument)

    patch = "+ a line of a program that holds nothing = 1\n" * 50_000 + "+password = 'hunter2'\n"
    sys.setprofile(trace)
    try:
        masked = secrets.masked_code(patch)
    finally:
        sys.setprofile(None)

    assert masked.endswith("+password = '<secret>'\n")
    assert len(calls) < 60


@pytest.mark.parametrize(
    "text", ["token=", "://a:", "login -p", "a_", "password='", "Bearer ", '{"token":"', "?sig=a1"]
)
def test_no_text_makes_masking_slow(text):
    """A hundred thousand repetitions cost some thousand times as much as a hundred: no pattern goes back and forth."""
    steps = [0, 0]
    for at, times in enumerate((200, 2000)):
        calls = []
        sys.setprofile(lambda frame, event, argument, calls=calls: calls.append(event))
        try:
            secrets.masked(text * times + "token")
        finally:
            sys.setprofile(None)
        steps[at] = len(calls)

    assert steps[1] < 12 * steps[0] + 1000


def test_every_form_of_a_token_has_a_row_that_fails_without_it():
    only = {stem: [] for stem in secret_forms.FORMS}
    for kind, token in TOKENS.items():
        found = [stem for stem, form in secret_forms.FORMS.items() if form.search(token)]
        if len(found) == 1:
            only[found[0]].append(kind)

    assert [stem for stem, kinds in only.items() if not kinds] == []


def test_every_context_has_a_row_that_fails_without_it():
    patterns = [secret_forms.BASIC, *(pattern for _, pattern in secret_forms.CONTEXTS)]
    only = {pattern.pattern: [] for pattern in patterns}
    for kind, (around, secret) in CONTEXTS.items():
        found = [
            each.pattern for each in patterns for hit in each.finditer(around.format(secret)) if hit["secret"] in secret
        ]
        if len(set(found)) == 1:
            only[found[0]].append(kind)

    assert [pattern for pattern, kinds in only.items() if not kinds] == []


def test_every_name_of_a_secret_has_a_row_that_fails_without_it():
    names = "|".join(NAMES).lower().replace("-", "_").replace("accesstoken", "access_token")

    assert [word for word in secret_forms.WORDS if word not in names] == []
    assert [pair for pair in secret_forms.PAIRS if "_".join(pair) not in names] == []
