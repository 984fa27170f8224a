"""Which addresses may be reached, in every spelling that leads to one."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyturn.egress.guard import AllowList, check_literal, is_never, is_public, may_connect
from keyturn.errors import Invalid, UpstreamError

NOBODY = AllowList()
PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "2002:0a00:0001::",
    "64:ff9b::10.0.0.1",
    "fec0::1",
    "64:ff9b::7f00:1",
    "2001:0000:4136:e378:8000:63bf:f5ff:fffe",
    "::10.0.0.1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NEVER = ["169.254.169.254", "169.254.0.1", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"]


@pytest.mark.parametrize("text", [*PRIVATE, *NEVER])
def test_l2_a_private_address_is_not_connected_to(text):
    address = ipaddress.ip_address(text)
    assert not is_public(address)
    assert not may_connect(NOBODY, address, 443)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is(text):
    assert may_connect(NOBODY, ipaddress.ip_address(text), 443)


@pytest.mark.parametrize("text", NEVER)
def test_l3_link_local_is_refused_whatever_the_operator_lists(text):
    address = ipaddress.ip_address(text)
    assert is_never(address)
    everything = AllowList.parse("0.0.0.0/0,::/0")
    assert not may_connect(everything, address, 80)
    with pytest.raises(UpstreamError, match="never"):
        check_literal(f"http://{f'[{text}]' if ':' in text else text}/", everything)


SPELLINGS = [
    "http://127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://10.0.0.1:8443/x",
    "https://[fd12::1]/",
    "https://0x0a.1/",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_l1_every_spelling_of_a_private_host_is_blocked_before_any_network(url):
    with pytest.raises(UpstreamError) as caught:
        check_literal(url, NOBODY)
    assert caught.value.message_code == "E-BLOCKED"
    assert caught.value.sent is False


@pytest.mark.parametrize("url", ["ftp://a.example/", "file:///etc/passwd", "gopher://a/", "https://", "//a.example"])
def test_other_schemes_and_no_host_are_blocked(url):
    with pytest.raises(UpstreamError):
        check_literal(url, NOBODY)


def test_a8_plain_http_needs_the_operators_word():
    with pytest.raises(UpstreamError, match="Use https"):
        check_literal("http://a.example/", NOBODY)
    check_literal("http://a.example/", AllowList.parse("a.example"))
    check_literal("https://a.example/", NOBODY)


def test_l3_the_list_takes_hosts_ports_and_networks():
    allowed = AllowList.parse(" intern.example , 10.0.0.0/8, 127.0.0.1:8081, [::1]:9000 ,")
    check_literal("http://intern.example:81/", allowed)
    check_literal("http://10.1.2.3/", allowed)
    check_literal("http://127.0.0.1:8081/", allowed)
    check_literal("http://[::1]:9000/", allowed)
    with pytest.raises(UpstreamError):
        check_literal("http://127.0.0.1:8082/", allowed)
    assert may_connect(allowed, ipaddress.ip_address("10.9.9.9"), 1)
    assert not may_connect(allowed, ipaddress.ip_address("192.168.0.1"), 1)


@pytest.mark.parametrize("text", ["169.254.169.254", "169.254.0.0/16", "fe80::1", "10.0.0.0/8/8", "a b", "[]"])
def test_a_list_that_cannot_be_is_refused_by_name(text):
    with pytest.raises(Invalid) as caught:
        AllowList.parse(text)
    assert caught.value.problems[0].at == "KEYTURN_ALLOWED_PRIVATE_HOSTS"


@given(st.ip_addresses(v=4))
def test_wrappings_say_what_is_inside(address):
    value = int(address)
    wrapped = [
        ipaddress.IPv6Address((0xFFFF << 32) | value),
        ipaddress.IPv6Address((0x2002 << 112) | (value << 80)),
        ipaddress.IPv6Address((0x0064FF9B << 96) | value),
    ]
    assert {is_public(item) for item in wrapped} == {is_public(address)}
    assert {is_never(item) for item in wrapped} == {is_never(address)}


@given(st.text(max_size=60))
def test_no_text_makes_the_guard_crash(text):
    try:
        check_literal("https://" + text, NOBODY)
    except (UpstreamError, ValueError):
        pass
