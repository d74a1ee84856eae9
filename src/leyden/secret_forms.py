"""The forms by which a secret gives itself away, and the words it stands behind.

    FORMS         tokens with the prefix of who issued them, wherever they stand
    CONTEXTS      a secret that its surroundings tell: in a URL, a header, a command line, .netrc
    PEM           private keys, of several lines
    CERTAIN       names whose value is a secret whatever it looks like
    POSSIBLE      names whose value is one if it looks drawn by a machine

A pattern of `CONTEXTS` has a group ``secret``; what stands around it is kept. With each come its stems, small
letters one of which occurs in every line that it matches: lines without one need not be looked at. Every repetition
is bounded, so that no text takes longer than in proportion to its length.

Patterns are compiled when they are first looked for: a command that lists runs never looks for most of them.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Late:
    """A pattern that is compiled when it is first used."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._source = pattern, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        vars(self)[name] = found
        return found


def _late(pattern: str, flags: int = 0) -> re.Pattern[str]:
    return cast("re.Pattern[str]", _Late(pattern, flags))


_TOKENS = {  # by the stem that is searched for
    "hf_": r"hf_[A-Za-z0-9]{30,}",
    "sk-": r"sk-[A-Za-z0-9_-]{20,}",
    "gh": r"gh[pousr]_[A-Za-z0-9]{30,}",
    "github_pat_": r"github_pat_[A-Za-z0-9_]{20,}",
    "gl": r"gl(?:pat|dt|rt|ptt|cbt|soat)-[A-Za-z0-9_.-]{16,}",
    "xox": r"xox[abeoprs]-[A-Za-z0-9-]{10,}",
    "xapp-": r"xapp-[A-Za-z0-9-]{20,}",
    "akia": r"AKIA[0-9A-Z]{16}",
    "asia": r"ASIA[0-9A-Z]{16}",
    "aiza": r"AIza[0-9A-Za-z_-]{35}",
    "ya29.": r"ya29\.[0-9A-Za-z_-]{20,}",
    "gocspx-": r"GOCSPX-[0-9A-Za-z_-]{20,}",
    "wandb_v1_": r"wandb_v1_[A-Za-z0-9_-]{20,}",
    "eyj": r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "eyjhcglf": r"eyJhcGlf[A-Za-z0-9+/=_-]{30,}",  # {"api_..., the form of Neptune's
    "sk_": r"sk_(?:live|test)_[A-Za-z0-9]{16,}",
    "rk_": r"rk_(?:live|test)_[A-Za-z0-9]{16,}",
    "whsec_": r"whsec_[A-Za-z0-9+/=]{16,}",
    "sk": r"SK[0-9a-f]{32}",  # Twilio's
    "npm_": r"npm_[A-Za-z0-9]{36}",
    "pypi-": r"pypi-[A-Za-z0-9_-]{40,}",
    "sg.": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "dckr_pat_": r"dckr_pat_[A-Za-z0-9_-]{20,}",
    "dop_v1_": r"dop_v1_[0-9a-f]{40,}",
    "dapi": r"dapi[0-9a-f]{32}",
    "r8_": r"r8_[A-Za-z0-9]{30,}",
    "gsk_": r"gsk_[A-Za-z0-9]{30,}",
    "nvapi-": r"nvapi-[A-Za-z0-9_-]{30,}",
    "hvs.": r"hvs\.[A-Za-z0-9_-]{20,}",
    "shpat_": r"shpat_[0-9a-fA-F]{32}",
    "kgat_": r"KGAT_[A-Za-z0-9]{16,}",
    "age-secret-key-": r"AGE-SECRET-KEY-1[0-9A-Z]{50,}",
}
FORMS = {stem: _late(rf"(?<![A-Za-z0-9]){form}") for stem, form in _TOKENS.items()}
PEM = _late(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^'\"]{0,20000}?-----END [A-Z ]*PRIVATE KEY-----|[^\n'\"]*)")

WORDS = "password passwd passphrase passcode credential secret".split()
PAIRS = (
    *((first, "key") for first in "api access secret private signing encryption account master subscription".split()),
    *((first, "token") for first in "auth access api bearer refresh session security private personal bot sas".split()),
    ("connection", "string"),
    ("amz", "signature"),
    ("amz", "credential"),
    ("goog", "signature"),
)
_CERTAIN = rf"(?:(?:{'|'.join(WORDS)})s?|{'|'.join(f'{first}[_-]?{last}s?' for first, last in PAIRS)})"
_POSSIBLE = r"(?:tokens?|auth|pwd|pass|authorization|cookie)"
CERTAIN = _late(rf"(?:^|_){_CERTAIN}$")
POSSIBLE = _late(rf"(?:^|_){_POSSIBLE}$")
VARIABLE = _late(
    r"(?:^|_)(?:KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PWD|PASS|CREDENTIALS?|AUTH|PAT|COOKIE)(?:_|$)"
)
SURE_VARIABLE = _late(r"(?:^|_)(?:API_?KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE)(?:_|$)")

_QUERY = "sig|signature|key|code|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature|awsaccesskeyid"
_HEADERS = r"authorization|proxy-authorization|x-api-key|x-auth-token|private-token|job-token|api-key|cookie|set-cookie"
_CONTEXTS: tuple[tuple[str, str], ...] = (  # stems, and the pattern
    # user:password@ and TOKEN@ of a URL; a port is followed by a slash, and what is looked up elsewhere has a brace
    ("://", r"://(?P<secret>[^\s/:@'\"<>{}]{0,200}:(?!\d{0,5}(?:[/?#]|$))[^\s'\"<>{}]{0,500}?)@(?=[\w.\[-])"),
    ("://", r"https?://(?P<secret>(?=[^\s/:@'\"<>{}]{0,200}\d)[^\s/:@'\"<>{}]{8,500}|[^\s/:@'\"<>{}]{20,500})@"),
    (
        _QUERY.replace("|", "= ") + "=",
        rf"[?&;](?:{_QUERY})=(?P<secret>(?=[^\s&;'\"<>#]{{0,500}}\d)[^\s&;'\"<>#{{}}$]{{6,}})",
    ),
    (
        _HEADERS.replace("|", " "),
        (
            rf"(?<![\w-])(?:{_HEADERS})['\"]?\]?\s{{0,9}}[:=,]\s{{0,9}}[rbf]?['\"]?"
            r"(?:(?:bearer|basic|token|digest|apikey)(?:\s|%20))?(?P<secret>(?=[^\s'\"]{0,500}\d)[^\s'\",{}$<>]{6,})"
        ),
    ),
    (
        "bearer token",
        r"\b(?:bearer|token)(?:\s|%20)(?P<secret>(?=[\w.~+/=-]{0,500}\d)(?=[\w.~+/=-]{0,500}[a-z])[\w.~+/=-]{12,})",
    ),
    ("bearer", r"\bbearer(?:\s|%20)(?P<secret>[A-Za-z0-9.~+/=_-]{24,})"),
    ("machine", r"\bmachine\s+\S{1,300}\s+(?:(?:login|account)\s+\S{1,300}\s+){0,2}password\s+(?P<secret>[^\s'\"]+)"),
    ("login", r"(?<![\w-])login\s+\S{1,300}\s+password\s+(?P<secret>[^\s'\"]+)"),
    (
        "accountkey sharedaccess accountsecret",
        r"\b(?:AccountKey|SharedAccessKey|SharedAccessSignature|AccountSecret)=(?P<secret>[^\s;'\"{}$<>]{8,})",
    ),
    (
        "login sshpass mysql mongo psql redis-cli",
        r"\b(?:login|sshpass|mysql\w{0,9}|mongo\w{0,9}|psql|redis-cli)\b[^\n|;]{0,300}?\s-[pPa]\s*(?P<secret>[^\s'\"-][^\s'\"]{3,})",
    ),
    ("curl", r"\bcurl\b[^\n|;]{0,300}?\s(?:-u|--user)[\s=]*['\"]?[^\s:'\"]{1,100}:(?P<secret>[^\s'\"]+)"),
    ("login", r"\bwandb\s+login\s+(?:--\S{1,100}\s+){0,5}(?P<secret>[0-9a-f]{40})\b"),
    ("hooks.slack.com", r"hooks\.slack\.com/services/(?P<secret>[\w/]{20,})"),
    ("api/webhooks", r"discord(?:app)?\.com/api/webhooks/(?P<secret>\d+/[\w-]{20,})"),
    ("auth", r"\bauth\s*=\s*\(\s*['\"][^'\"\n]{0,200}['\"]\s*,\s*['\"](?P<secret>[^'\"\n]+)['\"]\s*\)"),
    (
        "username",
        r"['\"]username\\?['\"]\s*:\s*\\?['\"][^'\"\n]{0,200}['\"]\s*,\s*\\?['\"]key\\?['\"]\s*:\s*\\?['\"](?P<secret>[0-9a-f]{32,40})",
    ),
)
CONTEXTS = tuple((tuple(stems.split()), _late(pattern, re.IGNORECASE)) for stems, pattern in _CONTEXTS)
BASIC = _late(r"\bbasic(?:\s+|%20)(?P<secret>[A-Za-z0-9+/_-]{8,}={0,2})", re.IGNORECASE)

_QUOTED = r"(?P<quote>\\?['\"])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\\n]){0,9999}?)(?P=quote)"
_BARE = r"(?P<bare>[^\s'\",;&}\])]{1,200})"
MORE = _late(  # of a bare value that was too long for that, or has a comma inside
    r"(?:[^\s'\",;&}\])]|[,&;)\]}](?!\w[\w.\[\]-]{0,64}\\?['\"]?[=:])(?=[^\s'\",;&}\])])){0,20000}"
)
_NAME = rf"(?P<word>{_CERTAIN}|{_POSSIBLE})"
_TYPE = r"(?:[ \t]*:[ \t]*[\w.\[\]| ]{1,60}?)?"
ASSIGNED = _late(rf"{_NAME}\\?['\"]?\]?[ \t]*(?::=|=>|=|:)[ \t]*(?:[rbfu]{{0,2}}{_QUOTED}|{_BARE})", re.IGNORECASE)
LITERAL = _late(
    rf"{_NAME}\\?['\"]?\]?{_TYPE}[ \t]*(?:={{1,2}}|!=|:)[ \t]*\(?[ \t]*[rbfu]{{0,2}}{_QUOTED}", re.IGNORECASE
)
CALLED = _late(rf"{_NAME}['\"][ \t]*,[ \t]*[rbfu]{{0,2}}{_QUOTED}", re.IGNORECASE)
CALLS = _late(
    r"\b(?:setdefault|getenv|get|setenv|putenv|add_header|set_header|append|add)\([ \t]*\(?['\"]$", re.IGNORECASE
)
DEFAULT = _late(rf"{_NAME}['\"][^\n]{{0,300}}?\bdefault[ \t]*=[ \t]*[rbfu]{{0,2}}{_QUOTED}", re.IGNORECASE)
FLAG = _late(rf"{_NAME}[ \t]+{_BARE}", re.IGNORECASE)
IN_QUERY = _late(rf"{_NAME}=(?P<bare>[^\s&;'\"<>#{{}}$]{{4,200}})", re.IGNORECASE)
PLACEHOLDER = _late(
    r"\$[{(].*|`.*|\$[A-Z_][A-Z0-9_]*|\{.*\}|%\(?\w*\)?s|<.*>|\*+|\.{3}|…|\?{3}|none|null|true|false|str|string|optional\[.*",
    re.IGNORECASE,
)

NAME_STEMS = (
    *WORDS,
    *(f"{first}{dash}{last}" for first, last in PAIRS for dash in ("", "_", "-")),
    *"token auth pwd pass cookie".split(),
)
