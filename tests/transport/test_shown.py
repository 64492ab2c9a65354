from ipaddress import ip_address

from earwitness.transport.exchange import Certificate, Exchange
from earwitness.transport.shown import ShownLately

A, B = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def shown(moment):
    """Return what servers showed by a clock that reads `moment[-1]`, and a function that takes note of one at an address."""
    lately = ShownLately(lambda: moment[-1])

    def take(address, subject, host="shop.test"):
        certificate = Certificate(subject, "authority", (host,), 0.0, 1.0)
        lately.take(Exchange(host, address=str(address), certificates=(certificate,)), 443, None)
        return certificate

    return lately, take


def test_what_was_shown_is_known_for_five_seconds():
    moment = [10.0]
    lately, take = shown(moment)
    first = take(A, "first")
    for later in (10.1, 14.9):
        moment.append(later)
        assert lately.by_address("shop.test", 443, None, [A]) == {A: (first,)}
    moment.append(15.1)
    assert lately.by_address("shop.test", 443, None, [A]) == {}
    renewed = take(A, "renewed")
    assert lately.by_address("shop.test", 443, None, [A]) == {A: (renewed,)}


def test_it_is_known_of_its_own_host_port_version_and_address_alone():
    lately, take = shown([10.0])
    certificate = take(A, "shop")
    assert lately.by_address("shop.test", 443, None, [A]) == {A: (certificate,)}
    assert lately.by_address("other.test", 443, None, [A]) == {}
    assert lately.by_address("shop.test", 8443, None, [A]) == {}
    assert lately.by_address("shop.test", 443, "3", [A]) == {}
    assert lately.by_address("shop.test", 443, None, [A, B]) == {}, "which of them will be asked nobody knows before"
    other = take(B, "other")
    assert lately.by_address("shop.test", 443, None, [A, B]) == {A: (certificate,), B: (other,)}


def test_however_many_servers_there_are_it_remembers_so_many():
    lately, take = shown([10.0])
    for n in range(1500):
        take(A, "any", host=f"shop-{n}.test")
    known = [n for n in range(1500) if lately.by_address(f"shop-{n}.test", 443, None, [A])]
    assert known == list(range(500, 1500))
