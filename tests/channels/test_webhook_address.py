"""Where webhooks may go."""

import socket

import pytest

from agents.channels.webhook_address import (
    AddressRefusedError,
    CheckedResolver,
    address_check,
    checked_socket,
    checked_url,
)

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1",
    "ff02::1", "2001:db8::1", "3fff::1", "4000::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_allowed(address):
    address_check(allowed=False)(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_address_is_refused(address):
    with pytest.raises(AddressRefusedError, match="not an address of the public internet"):
        address_check(allowed=False)(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_all_addresses_are_allowed_when_the_setting_says_so(address):
    address_check(allowed=True)(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "::ffff:0:10.1.2.3", "::10.1.2.3", "2002:a01:203::1",
        "2001:0:4136:e378:8000:63bf:f5fe:fdfc",
    ],
)  # fmt: skip
def test_an_allowed_network_holds_its_addresses_however_they_are_written(address):
    address_check(("10.1.0.0/16",))(address)


def test_an_allowed_network_allows_no_other():
    with pytest.raises(AddressRefusedError):
        address_check(("10.1.0.0/16",))("10.2.0.1")


def test_a_network_that_is_none_is_named_with_what_to_write():
    with pytest.raises(ValueError, match=r"CLEPSYDRA_WEBHOOK_ALLOW_PRIVATE: 'yes' .*write true, false or networks"):
        address_check(("yes",))


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/",
        "http://127.0.1/", "http://127.0.0.1./", "http://017700000001/", "http://0/", "http://8.8.8.08/",
        "http://1.2.3.4.5/", "http://256.1.1.1/", "http://example.0x10/", "http://\uff11\uff12\uff17.0.0.1/",
        "http://\u2460\u2461\u2466.0.0.1/", "http://127\u30020.0.1/", "http://127.0.0.1/", "https://[::1]/",
        "http://[::ffff:7f00:1]/", "http://[fe80::1%25eth0]/", "http://169.254.169.254/latest/meta-data",
    ],
)  # fmt: skip
def test_an_address_in_a_url_is_checked_and_odd_notations_are_refused(url):
    with pytest.raises(AddressRefusedError):
        checked_url(url, address_check(allowed=False))


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "hook", "/hook", "ftp://example.com/", "file:///etc/passwd", "http://", "http:///x", "https://:80/",
        "javascript:alert(1)", "http://exa mple.com/", "http://example.com:99999/", "http://example.com:0/",
        "http://user@example.com/", "http://user:secret@example.com/", "http://:secret@example.com/", "http://[::1/",
        "gopher://example.com/", "unix:///var/run/x.sock", "//example.com/hook",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_url_is_refused(url):
    with pytest.raises(AddressRefusedError):
        checked_url(url, address_check(allowed=False))


def test_a_refusal_shows_no_password():
    with pytest.raises(AddressRefusedError) as refused:
        checked_url("http://user:hunter2@example.com/", address_check(allowed=False))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["https://example.com/hook?a=1", "http://example.com:8080/", "http://8.8.8.8/", "https://b\u00fccher.example/"],
)
def test_an_ordinary_url_passes(url):
    checked_url(url, address_check(allowed=False))


async def test_a_name_with_no_allowed_address_is_refused_when_it_is_resolved():
    resolver = CheckedResolver(address_check(allowed=False))
    with pytest.raises(AddressRefusedError, match="localhost is at"):
        await resolver.resolve("localhost", 80)
    await resolver.close()


async def test_of_a_name_with_several_addresses_only_the_allowed_are_given():
    resolver = CheckedResolver(address_check(("127.0.0.0/8",)))
    assert {found["host"] for found in await resolver.resolve("localhost", 80)} == {"127.0.0.1"}
    await resolver.close()


def test_the_last_look_is_at_the_socket():
    with pytest.raises(PermissionError, match="not an address of the public internet"):
        checked_socket(address_check(allowed=False))((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 80)))
