"""What a client writes into its request changes what is told of the client's own words, and nothing else.

Each line is written as its server would write it: nginx escapes quotes, IIS writes spaces as `+`, S3 and OSS write what
came. Whatever the client sends, its line becomes the same access with other words of its own, or is set aside.
"""

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collecting import data, events, reasons, run_on

from ledger.collect import S3, CloudFront, Collector, Nginx, Oss

from .test_collect_cloudfront import W3C, W3C_LINE
from .test_collect_nginx import FORWARDED, PIPES, REST
from .test_collect_oss import LINE as OSS
from .test_collect_s3 import LINE as S3_LINE


def as_it_came(text: str) -> str:
    return text


def as_iis(text: str) -> str:
    return text.replace(" ", "+") or "-"


def as_nginx(text: str) -> str:
    return re.sub(r'["\\]', lambda match: f"\\x{ord(match[0]):02X}", text) or "-"


OWN = frozenset({"user_agent", "raw_sha256"})
"""Members that are a client's own words, or taken over them."""
NGINX = '198.51.100.7 - {user} [01/Jul/2026:20:00:03 +0800] "GET /a HTTP/1.1" 200 4518 "{referrer}" "{agent}"'
SOURCES: dict[str, tuple[Collector, str, str, Callable[[str], str], frozenset[str]]] = {
    "s3-agent": (S3(), "", S3_LINE.replace("aws-cli/2.15 (linux)", "{}"), as_it_came, OWN),
    "s3-referrer": (
        S3(),
        "",
        S3_LINE.replace("https://acme.example/", "{}"),
        as_it_came,
        OWN,
    ),
    "oss-agent": (Oss(), "", OSS.replace("aliyun-sdk-python/2.18 (Linux)", "{}"), as_it_came, OWN),
    "oss-referrer": (Oss(), "", OSS.replace("https://acme.example/", "{}"), as_it_came, OWN),
    "iis-agent": (CloudFront(), W3C, W3C_LINE.rstrip("\n"), as_iis, OWN),
    "quoted-agent": (CloudFront(), W3C, W3C_LINE.rstrip("\n").replace("{}", '"{}"'), as_it_came, OWN),
    "nginx-agent": (Nginx(), "", NGINX.format(user="-", referrer="-", agent="{}"), as_nginx, OWN),
    "nginx-referrer": (Nginx(), "", NGINX.format(user="-", referrer="{}", agent="-"), as_nginx, OWN),
    "nginx-user": (
        Nginx(),
        "",
        NGINX.format(user="{}", referrer="-", agent="-"),
        as_nginx,
        OWN | {"principal", "principal_type"},
    ),
    "pipes-agent": (
        Nginx(formats=(PIPES,)),
        "",
        "198.51.100.7|2026-07-01T12:00:03Z|GET /a HTTP/1.1|200|{}",
        as_nginx,
        OWN,
    ),
    "pipes-request": (
        Nginx(formats=(PIPES,)),
        "",
        "198.51.100.7|2026-07-01T12:00:03Z|GET /{} HTTP/1.1|200|curl",
        as_nginx,
        OWN | {"action", "resource", "read_only"},
    ),
    "forwarded": (
        Nginx(formats=(FORWARDED,)),
        "",
        "{} 198.51.100.7 - ann" + REST,
        as_nginx,
        OWN,
    ),
}
TOKENS = st.sampled_from(
    [
        *'"" \\[]|-+,',
        '" "',
        '" -',
        " - ",
        " [",
        '] "',
        "a",
        "200",
        "true",
        "SigV4",
        "TLSv1.3",
        "192.0.2.1",
        "<tab>",
    ]
)


@pytest.mark.parametrize("name", SOURCES)
@settings(deadline=None, max_examples=100)
@given(tokens=st.lists(TOKENS, max_size=24))
def test_a_client_tells_of_itself_alone(name: str, tokens: list[str]) -> None:
    collector, before, template, write, own = SOURCES[name]
    with TemporaryDirectory() as folder:
        plain = template.replace("{}", "curl")
        crafted = template.replace("{}", write("".join(tokens).replace("<tab>", "\t")))
        outcomes = run_on(collector, Path(folder), before + f"{plain}\n{crafted}\n{plain}\n")
        told = data(outcomes[:1])
        assert events(outcomes[:1])[0]["data"] == events(outcomes[-1:])[0]["data"]
        assert len(outcomes) == 3
        if reasons(outcomes[1:2]):
            return
        found = data(outcomes[1:2])
        assert {n: v for n, v in found.items() if n not in own} == {
            n: v for n, v in told.items() if n not in own
        }
