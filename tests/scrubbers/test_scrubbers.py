"""Values that each scrubber finds, in several countries, and look-alikes that stay: made up, or published examples."""

import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.contracts import Scrubber
from bmtool.data.text.scrub import scrub
from bmtool.registry import SCRUBBERS


def found(name, text):
    """What the scrubber `name` takes out of `text`, itself alone."""
    scrubbed = scrub(pa.array([text]), [SCRUBBERS.load(name)()]).texts[0].as_py()
    parts = scrubbed.split(f"[{name.upper()}]")
    values, place = [], len(parts[0])
    for part in parts[1:]:
        end = text.index(part, place) if part else len(text)
        values.append(text[place:end])
        place = end + len(part)
    return values


def listed(text):
    return [item.strip() for item in text.split("|")]


TRUE = {
    "email": listed(
        """
        a@b.org | First.Last+tag@sub.example.co.uk | o'neil@example.ie | jürgen@müller.de | иван@пример.com |
        user_1%x@x-y.example | 13812345678@163.com | a@xn--bcher-kva.example | UPPER@EXAMPLE.COM
        """
    ),
    "phone": listed(
        """
        +1 (212) 555-0123 | +1-212-555-0123 | +12125550123 | (212) 555-0123 | 212-555-0123 | 212.555.0123 |
        1-800-356-9377 | +44 20 7946 0958 | +44 (0)20 7946 0958 | 020 7946 0958 | 07700 900123 | 01632 960983 |
        +49 30 901820 | +49 (0) 30-901820 | 0049 30 9018200 | 030/9018200 | 0171 / 123 45 67 | 089 - 123 456 |
        0171 1234567 | (030) 9018200 |
        +33 1 23 45 67 89 | 01 23 45 67 89 | 01.23.45.67.89 | +39 06 6982 1234 | +34 612 345 678 |
        +86 138 0013 8000 | +8613800138000 | 13800138000 | 138-0013-8000 | 010-62345678 | 0755-26012345 |
        (010) 62345678 | 03-1234-5678 | 090-1234-5678 | +81 90 1234 5678 | +82 2-312-3456 | 010-1234-5678 |
        +91 98765 43210 | +55 11 91234-5678 | (11) 91234-5678 | (02) 9876 5432 | 0412 345 678 |
        +7 (495) 123-45-67 | 8 (495) 123-45-67 | 8-800-555-35-35 | +971 50 123 4567 | +852 2123 4567 |
        +358 40 123 4567 | +65 6123 4567
        """
    ),
    "ip": listed(
        """
        192.168.17.4 | 8.8.4.255 | 203.0.113.99 | 10.0.0.4 | 223.255.255.254 | 2001:db8::1 |
        2001:0db8:85a3:0000:0000:8a2e:0370:7334 | fe80::1ff:fe23:4567:890a | 2001:DB8:: | fd12:3456:789a:1::1
        """
    ),
    "credit_card": listed(
        """
        4111111111111111 | 4111 1111 1111 1111 | 4111-1111-1111-1111 | 4222222222222 | 5555555555554444 |
        2223003122003222 | 378282246310005 | 3782 822463 10005 | 6011111111111117 | 30569309025904 |
        3056 930902 5904 | 3530111333300000 | 6200000000000005 | 6304000000000000 | 2200000000000004
        """
    ),
    "iban": listed(
        """
        DE89370400440532013000 | DE89 3704 0044 0532 0130 00 | GB82 WEST 1234 5698 7654 32 |
        FR1420041010050500013M02606 | NO9386011117947 | CH93 0076 2011 6238 5295 7 | NL91ABNA0417164300 |
        ES91 2100 0418 4502 0005 1332 | IT60X0542811101000000123456 | PL61109010140000071219812874 |
        SA0380000000608010167519 | MT84MALT011000012345MTLCAST001S | BE68-5390-0754-7034 |
        BR1800360305000010009795493C1
        """
    ),
    "chinese_id": listed(
        """
        11010519491231002X | 11010519491231002x | 440524198001010013 | 830000200002291237
        """
    ),
    "secret": [
        *listed(
            """
        AKIAIOSFODNN7EXAMPLE | ghp_0123456789abcdefghijABCDEFGHIJ012345 |
        github_pat_A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1A1 |
        glpat-0123456789abcdefghij | xoxb-123456789012-abcdefghijkl | AIzaSy0123456789-_abcdefghijklmnopqrstu |
        sk-proj-abcdefghij0123456789 | sk-ant-api03-abcdefghij0123456789 | sk_live_0123456789abcdef |
        hf_aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3 | npm_a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2a1B2 |
        SG.0123456789abcdefghijkl.0123456789abcdefghijklmnopqrstuvwxyz01234567 |
        123456789:AAx1Zx1Zx1Zx1Zx1Zx1Zx1Zx1Zx1Zx1Zx1Z |
        eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U
        """
        ),
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x\n\nlQOYBF==\n-----END PGP PRIVATE KEY BLOCK-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n9w0BAQEFAASCBKcwggSj",
    ],
}

FALSE = {
    "email": listed(
        """
        a@b | @handle | icon@2x.png | a @ b.org | name at example dot org | x@y. | git@host:path | 5@5.5
        """
    ),
    "phone": listed(
        """
        2023-11-24 | 24.11.2023 | 11/24/2023 10:30 | 2023-11-24 10:30:15 | 1.2.3.4 | 3.14159265358979 |
        1700000000 | 1700000000000 | 12345678901 | v2.10.2023 | ISBN 978-3-16-148410-0 | 1,234,567,890 |
        100000000 | 0.0123456789 | 555-0123 | 10:30-11:45 | U+2260-2269 | 4.6.0+20190510-1 | 0123456789abcdef |
        00 00 00 00 00 | 01:23:45:67:89:ab | 550e8400-e29b-41d4-a716-446655440000 | 266.097 590.336 | +0100 |
        16106127360 | 2007-01-16 14:54 | hotel 1234567 | 252.227-7013 | 0082 0002 01 00 | 012.004.002.000 |
        07/2003-01/2006 | 08:06 1083555 | vruntime=14589605367 |
        +922337203685477.5807 | +1 111 555 0123 | 1 000 000 000 |
        192.168.100.200 | 299-792-458
        """
    ),
    "ip": listed(
        """
        15.3.3.9 | 22.1.4.2 | 1.2.3 | 256.1.1.1 | 1.2.3.4.5 | version 10.20.30.40 | v10.20.30.40 | pkg-10.20.30.40 |
        Chrome/120.0.0.0 | 1.5.4.1 | dpkg (1.14.16.6) | x==10.20.30.40 | 10.20.30.40-rc1 | 127.0.0.1 | 0.0.0.0 |
        255.255.255.0 | 12:34:56 | std::vector | abc::def | 00:1A:2B:3C:4D:5E | :: | ::1 | 2024:01:02 | a::b |
        fade:: | 2001:db8::1::2
        """
    ),
    "credit_card": listed(
        """
        4111111111111112 | 1234567890123456 | 0.4111111111111111 | 411111111111111 | 4111 1111 1111 |
        9111111111111111 | 20150811100527 | 4111_1111_1111_1111 | 2650 1514 1514 1514 1514 | a4111111111111111 |
        41111111111111111111
        """
    ),
    "iban": listed(
        """
        DE89370400440532013001 | XX89370400440532013000 | DE8937040044053201300 | DE89 3704 |
        de89370400440532013000
        """
    ),
    "chinese_id": listed(
        """
        110105194912310021 | 11010519490231002X | 99010519491231002X | 11010518491231002X | 1101051949123100 |
        011010519491231002X
        """
    ),
    "secret": [
        *listed(
            """
        AKIA123 | ghp_short | sk-learn | token = tokens | password: secret | password = getpass() | key = value |
        password = os.environ | token: ${API_TOKEN_1234567890} | secret_key = settings.SECRET_KEY_2_abcdef |
        secret=OAUTH2-CLIENT-SECRET | secret=projects/my-project/secrets/my-secret/versions/2 |
        password_encryption = 'scram-sha-256' | password = xxxxxxxx1 | the secret: nobody knows it |
        api_key = <YOUR_KEY_0123456789> |
        tokenize=12345678901234567890 | https://example.org:8080/a@b
        """
        ),
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0B\n-----END PUBLIC KEY-----",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in TRUE.items() for value in values])
@pytest.mark.parametrize(
    "around",
    [("", ""), ("It is ", ", I think."), ("\uff08", "\uff09"), ("电邮或号码", "谢谢"), ("<", ">"), ('"', '"\n')],
)
def test_it_finds_a_value_and_nothing_around_it(name, value, around):
    before, after = around

    assert found(name, f"{before}{value}{after}") == [value]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FALSE.items() for text in texts])
@pytest.mark.parametrize("around", [("", ""), ("we saw ", " here")])
def test_it_leaves_a_look_alike(name, text, around):
    assert found(name, f"{around[0]}{text}{around[1]}") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Tel.: 98765 43210", "98765 43210"),
        ("Phone: 555-0123", "555-0123"),
        ("Fax 12345678", "12345678"),
        ("mobile no. 9876543210", "9876543210"),
        ("电话\uff1a62345678", "62345678"),
        ("手机号码 13800138000", "13800138000"),
        ("Тел. 123-45-67", "123-45-67"),
        ("전화 02-312-3456", "02-312-3456"),
        ("Téléphone : 01 23 45 67 89", "01 23 45 67 89"),
        ("+33 1 23 45 67 89 12 rue X", "+33 1 23 45 67 89"),
    ],
)
def test_a_phone_number_behind_a_word_needs_no_grouping_and_the_word_stays(text, value):
    assert found("phone", text) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("DNS server 8.8.8.8", "8.8.8.8"),
        ("my ip is 1.2.3.4!", "1.2.3.4"),
        ("http://1.2.3.4/x", "1.2.3.4"),
        ("1.2.3.4:80", "1.2.3.4"),
        ("1.2.3.0/24", "1.2.3.0"),
        ("root@5.6.7.8", "5.6.7.8"),
        ("broker/10.1.2.33:9092", "10.1.2.33"),
        ("addr:fe80::1 x", "fe80::1"),
        ("[2001:db8::7]:8080", "2001:db8::7"),
    ],
)
def test_small_numbers_are_an_address_where_something_says_so(text, value):
    assert found("ip", text) == [value]


def test_both_ends_of_a_range_are_addresses():
    assert found("ip", "from 192.168.1.2-192.168.1.30, 10.0.0.1 - 10.0.0.9") == [
        "192.168.1.2",
        "192.168.1.30",
        "10.0.0.1",
        "10.0.0.9",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
        ("'api_key': 'Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB',", "Zf3D0LXCM3EIMbgJpUNnkRtOfOueHznB"),
        ("PASSWORD='Tr0ub4dor&3'", "Tr0ub4dor&3"),
        ('db_password: "hunter2hunter3"', "hunter2hunter3"),
        ("Authorization: Bearer abcdef0123456789ghijkl", "abcdef0123456789ghijkl"),
        ("postgres://user:s3cr3t@db.example.org/x", "s3cr3t"),
        ("client_token => '9f86d081884c7d659a2feaa0c55ad015'", "9f86d081884c7d659a2feaa0c55ad015"),
    ],
)
def test_a_value_given_to_a_telling_name_goes_and_the_name_stays(text, value):
    assert found("secret", text) == [value]


def test_stronger_checks_go_first():
    order = ["secret", "email", "iban", "chinese_id", "credit_card", "ip", "phone"]

    assert sorted(SCRUBBERS.names(), key=lambda name: SCRUBBERS.load(name).precedence) == order
    assert Scrubber.precedence > SCRUBBERS.load("phone").precedence


@pytest.mark.parametrize(
    ("name", "values", "normal"),
    [
        ("email", ["A@B.org", "a@b.ORG"], "a@b.org"),
        ("phone", ["+1 (212) 555-0123", "+1.212.555.0123"], "12125550123"),
        ("credit_card", ["4111-1111 1111 1111"], "4111111111111111"),
        ("iban", ["DE89 3704-0044"], "DE8937040044"),
        ("chinese_id", ["1x"], "1X"),
        ("ip", ["2001:0DB8:0::1"], "2001:db8::1"),
        ("ip", ["10.0.0.1"], "10.0.0.1"),
        ("secret", ["aB"], "aB"),
    ],
)
def test_other_spellings_of_a_value_are_the_same(name, values, normal):
    assert {SCRUBBERS.load(name)().normalised(value) for value in values} == {normal}


@pytest.mark.parametrize("name", SCRUBBERS.names())
def test_what_replaces_a_value_is_a_tag_or_a_pseudonym(name):
    assert validate(SCRUBBERS.load(name), {"replace": "pseudonym"}).replace == "pseudonym"
    with pytest.raises(ValidationError):
        validate(SCRUBBERS.load(name), {"replace": "hash"})
