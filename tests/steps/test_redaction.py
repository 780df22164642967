"""Tests of what hides secrets: none is shown, however it is written."""

import hypothesis
import hypothesis.strategies as st
import pytest

from fmnist.steps.redaction import safe

SECRET = "s3cr€t p@ss/w0rd"  # noqa: S105 - not one
ESCAPED = "s3cr%E2%82%ACt%20p%40ss%2Fw0rd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pw@h.example/x: timed out", "https://***@h.example/x: timed out"),
        ("(http://me@h:80)", "(http://***@h:80)"),
        ("ftp://me:p/w@h/x", "ftp://***@h/x"),
        ("at https://h/x?sv=2020&sig=abc.", "at https://h/x?sv=***&sig=***."),
        ("https://h.example:80/a@b", "https://h.example:80/a@b"),
        ("https://h.example:/a@b", "https://h.example:/a@b"),
        ("https://[::1]/a@b", "https://[::1]/a@b"),
        ("at https://h/x?abc#def", "at https://h/x?***#***"),
        ("at https://h/x#access=abc", "at https://h/x#access=***"),
        ("at https://h#a@b", "at https://h#***"),
        ("at HTTPS://me:pw@h/x", "at HTTPS://***@h/x"),
        ("for url: /x?token=abc (Caused by", "for url: /x?token=*** (Caused by"),
        ("see https://h/pipeline/#/runs/details/r1.", "see https://h/pipeline/#/runs/details/r1."),
        ("for url: /x?a=b&token=c;d=e: timed out", "for url: /x?a=***&token=***;d=***: timed out"),
        ("for url: /x?page#access_token=abc (Caused by", "for url: /x?***#access_token=*** (Caused by"),
        ("for url: /x?a=b#access_token=c?d=e.", "for url: /x?a=***#access_token=***?d=***."),
        ("runs/lr=1;epochs=3&seed=1#a=b/report.html", "runs/lr=1;epochs=3&seed=1#a=b/report.html"),
        ("see https://h/#/runs?token=abc", "see https://h/#/runs?token=***"),
        ("{'Authorization': 'Basic bWU6cHc='}", "{'Authorization': '***'}"),
        ("{b'Authorization': b'Basic bWU6cHc='}", "{b'Authorization': b'***'}"),
        ("Cookie: a=b; c=d", "Cookie: ***"),
        ("Set-Cookie: session=b; Path=/", "Set-Cookie: ***"),
        ("{'X-Api-Key': 's3cret'}", "{'X-Api-Key': '***'}"),
        ("x-auth-token=s3cret", "x-auth-token=***"),
        ("an x-axis, a key: value", "an x-axis, a key: value"),
        ("proxy-authorization = Basic bWU6cHc=", "proxy-authorization = ***"),
        ("the header b'Bearer abcdefgh.ijk'", "the header b'Bearer ***'"),
        ("got bearer abcd+fgh=/ijk~.", "got bearer ***"),
        ("got eyJhbGciOiJI.eyJzdWIi.c2ln here", "got *** here"),
        ("got eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9. here", "got *** here"),
        ("z://me:pw@h/x", "z://***@h/x"),
        ("image registry.example/fmnist@sha256:0a", "image registry.example/fmnist@sha256:0a"),
        ("https://github.com/x/y/raw/v1@2/z", "https://github.com/x/y/raw/v1@2/z"),
        ("File that holds a bearer token. What? Yes = no.", "File that holds a bearer token. What? Yes = no."),
    ],
)
def test_a_url_or_a_header_shows_no_secret(text: str, shown: str) -> None:
    """What says who somebody is goes, what says where something is stays, however often it is there."""
    assert safe(text) == shown
    assert safe("\n".join([text] * 4)) == "\n".join([shown] * 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FMNIST_KFP_TOKEN", SECRET),
        ("FMNIST_KFP_COOKIES", f"one={SECRET}; two=2"),
        ("KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET", SECRET),
        ("FMNIST_MIRROR", f"https://me:{ESCAPED}@mirror.example/data"),
        ("FMNIST_MIRROR", f"https://mirror.example/data?sig={ESCAPED}&sv=1"),
        ("HTTPS_PROXY", f"http://me:{ESCAPED}@proxy.example:3128"),
        ("http_proxy", f"me:{ESCAPED}@proxy.example:3128"),
        ("ALL_PROXY", "http://me:s3cr€t%20p@ss/w0rd@proxy.example:3128"),
    ],
)
@pytest.mark.parametrize(
    "writing",
    [
        SECRET,
        ESCAPED,
        "s3cr%e2%82%act%20p%40ss%2fw0rd",
        "s3cr%E2%82%ACt+p%40ss%2Fw0rd",
        "s3cr%25E2%2582%25ACt%2520p%2540ss%252Fw0rd",
        "s3cr\\u20act p@ss/w0rd",
        "czNjcuKCrHQgcEBzcy93MHJk",
    ],
    ids=["plain", "quoted", "lower", "plus", "twice", "json", "base64"],
)
def test_what_the_environment_hides_is_hidden(
    name: str, value: str, writing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret in a variable that fmnist reads is not shown, however a library or a server writes it."""
    monkeypatch.setenv(name, value)
    assert safe(f"HTTP 500 ({writing}) <{writing}>") == "HTTP 500 (***) <***>"


@pytest.mark.parametrize(
    ("secret", "writing", "shown"),
    [
        ("sixsix", "(sixsix)", "(***)"),
        ("fives", "(fives)", "(fives)"),
        ("soft\u00adw0rd", "('soft\\xadw0rd')", "('***')"),
        ('quote"w0rd', '("quote\\"w0rd")', '("***")'),
        ("back\\w0rd", "('back\\\\w0rd')", "('***')"),
        ("~~~???", "(fn5+Pz8/)", "(***)"),
    ],
    ids=["six", "five", "Python's", "JSON's", "both", "in base64"],
)
def test_a_secret_is_hidden_as_programs_write_it(
    secret: str, writing: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short one is left: it occurs in words; a text of Python or JSON has escapes."""
    monkeypatch.setenv("FMNIST_KFP_TOKEN", secret)
    assert safe(writing) == shown
    monkeypatch.delenv("FMNIST_KFP_TOKEN")
    assert safe(writing * 3, [secret]) == shown * 3
    assert safe(writing) == writing


#: Of one address each part that may be secret.
PARTS = ("pass-word", "a-query", "fragment")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("FMNIST_KFP_TOKEN", " token;word== ", "token;word=="),
        ("FMNIST_KFP_COOKIES", "a=token=word==; b=1", "token=word=="),
        ("FMNIST_KFP_COOKIES", "no-name-at-all ;b=1", "no-name-at-all"),
        ("FMNIST_KFP_COOKIES", "a=1; b=second-one; c=3", "second-one"),
        ("FMNIST_KFP_COOKIES", "a=1; b=2; c=3; d=fourth-one; e=5", "fourth-one"),
        ("HTTPS_PROXY", "http://me:pass:word@h", "pass:word"),
        ("FMNIST_MIRROR", "https://h/x?sig=abcdef%3A//ghij", "abcdef://ghij"),
        ("FMNIST_MIRROR", "https://h/x?sig=abcdef://ghij", "abcdef%3A%2F%2Fghij"),
        ("FMNIST_MIRROR", "https://h/x?sig=token=word", "token=word"),
        ("FMNIST_MIRROR", "https://h/x?a=1&b=2&c=3&d=fourth-one&e=5", "fourth-one"),
        ("KF_PIPELINES_ENDPOINT", "https://h/x#fragment", "fragment"),
        *(("FMNIST_MIRROR", "https://me:pass-word@h/x?sig=a-query#fragment", one) for one in PARTS),
    ],
)
def test_a_secret_ends_where_its_variable_says(
    name: str, value: str, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold the characters that separate names, users and addresses."""
    monkeypatch.setenv(name, value)
    assert safe(f"x {secret} y") == "x *** y"


@pytest.mark.parametrize("secret", ["back\\sl\x1bash", r"a\x1bb-word"])
def test_a_secret_is_hidden_before_and_after_its_controls_are_escaped(secret: str) -> None:
    """Neither its own control is a way around, nor a control in the place of which it has an escape."""
    assert safe(f"({secret})", [secret]) == "(***)"
    assert safe("(a\x1bb-word)", [r"a\x1bb-word"]) == "(***)"


def test_the_longest_secret_goes_first() -> None:
    """One may be part of another."""
    assert safe("(abcdefgh) (bcdefg)", ["bcdefg", "abcdefgh"]) == "(***) (***)"
    assert safe("(abcdefgh) (abcdef)", ["abcdefgh", "abcdef"]) == "(***) (***)"


def test_the_secrets_of_all_variables_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several of a kind, too."""
    for number, name in enumerate(("FMNIST_KFP_TOKEN", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET", "FMNIST_KFP_COOKIES")):
        monkeypatch.setenv(name, f"secret-{number}")
    for number, name in enumerate(("HTTPS_PROXY", "http_proxy", "FMNIST_MIRROR", "KF_PIPELINES_ENDPOINT"), 3):
        monkeypatch.setenv(name, f"https://me:secret-{number}@h")
    assert safe(" ".join(f"secret-{number}" for number in range(7))) == " ".join(["***"] * 7)


@pytest.mark.parametrize("value", ["http://me:s3cr\udcffet@h", "http://me:s3cr%FFet@h", "http://me:s3cr%ffet@h"])
def test_a_secret_that_is_no_text_is_hidden(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes may be of another encoding than UTF-8, as they are or escaped, and a message about anything is made."""
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert safe("s3cr%FFet s3cr%ffet s3cr%25FFet s3cr\udcffet czNjcv9ldA==") == "*** *** *** *** ***"


def test_user_and_password_are_hidden_as_a_header_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy gets both in base64, as RFC 7617 says."""
    monkeypatch.setenv("HTTPS_PROXY", "http://Aladdin:open%20sesame@proxy.example")
    assert safe("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==") == "Basic ***"


def test_the_address_of_a_page_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a variable has that is no secret stays: a host, a path, hosts without a proxy, and a page of the UI."""
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://kubeflow.example:8080/pipeline/#/pipelines")
    monkeypatch.setenv("NO_PROXY", "localhost,kubeflow.example:8080,127.0.0.1")
    monkeypatch.setenv("FMNIST_MIRROR", "https://mirror.example/fashion-mnist")
    text = "localhost kubeflow.example /pipelines /pipeline 127.0.0.1 mirror.example fashion-mnist"
    assert safe(text) == text


def test_a_control_character_uncovers_no_secret() -> None:
    """Some count as blanks, where an address would end."""
    assert safe("GET /data?sig\x1fnature=s3cret") == "GET /data?sig\\x1fnature=***"


@hypothesis.given(st.text())
@hypothesis.example("?\x1f=0")
def test_any_text_becomes_harmless(text: str) -> None:
    """Nothing but new lines and tabs is left of the control characters, and all can be written as UTF-8."""
    shown = safe(text)
    assert not set(shown) & {chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))}
    assert shown.encode().decode() == shown
    assert safe(shown) == shown
