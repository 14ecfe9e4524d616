//! Reading URLs and judging addresses: tables, no sockets.

use likeness_domain::Kind;

use crate::fetch::address::is_public;
use crate::fetch::target::{AllowedHost, Target};

/// `Ok(scheme host port path)` or the message of the refusal.
fn read(url: &str) -> Result<String, String> {
    Target::parse(url).map(spell).map_err(|error| {
        let hides = error.message().contains("number as host");
        assert_eq!(error.kind(), if hides { Kind::UrlForbidden } else { Kind::UrlInvalid }, "{url}");
        error.message().to_owned()
    })
}

fn spell(target: Target) -> String {
    format!("{:?} {} {} {}", target.scheme, target.host, target.port, target.path)
}

#[test]
fn good_urls_are_taken_apart() {
    for (url, expected) in [
        ("http://example.com", "Http example.com 80 /"),
        ("HTTPS://Example.COM./a/b.jpg?x=1&y=%20#frag", "Https example.com 443 /a/b.jpg?x=1&y=%20"),
        ("http://example.com:8080?x", "Http example.com 8080 /?x"),
        ("http://example.com:/", "Http example.com 80 /"),
        ("http://1.2.3.4/", "Http 1.2.3.4 80 /"),
        ("http://[2001:DB8::1]:81/", "Http [2001:db8::1] 81 /"),
        ("http://[::ffff:127.0.0.1]/", "Http [::ffff:127.0.0.1] 80 /"),
        ("http://under_score.xn--bcher-kva.example/", "Http under_score.xn--bcher-kva.example 80 /"),
        ("http://example.com/照片 1.jpg", "Http example.com 80 /%E7%85%A7%E7%89%87%201.jpg"),
        ("http://example.com/\"<>^`{|}", "Http example.com 80 /%22%3C%3E%5E%60%7B%7C%7D"),
    ] {
        assert_eq!(read(url), Ok(expected.to_owned()), "{url}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let number = "image address has a number as host, expected a name or four decimal numbers";
    let begin = "image address does not begin with http:// or https://";
    let host = "image address has a malformed host";
    let port = "image address has a malformed port, expected 1 to 65535";
    let user = "image address has a user name or password, expected none";
    let control = "image address has a control character or a back slash";
    for (url, message) in [
        ("", begin),
        ("example.com/a.jpg", begin),
        ("ftp://example.com/", begin),
        ("file:///etc/passwd", begin),
        ("http:/example.com", begin),
        ("http:///a.jpg", host),
        ("http://", host),
        ("http://a..b/", host),
        ("http://-%31.example/", host),
        ("http://ex ample.com/", host),
        ("http://[::1/", "image address has an unclosed bracket"),
        ("http://[::1]x/", "image address has text after its IPv6 address"),
        ("http://[fe80::1%25eth0]/", "image address has a malformed IPv6 address"),
        ("http://::1/", host),
        ("http://user@example.com/", user),
        ("http://user:pass@127.0.0.1/", user),
        ("http://example.com:0/", port),
        ("http://example.com:65536/", port),
        ("http://example.com:+80/", port),
        ("http://example.com:80:80/", port),
        ("http://example.com\\@127.0.0.1/", control),
        ("http://example.com/\r\nHost: x", control),
        ("http://2130706433/", number),
        ("http://0x7f.1/", number),
        ("http://0x7f000001/", number),
        ("http://0177.0.0.1/", number),
        ("http://127.1/", number),
        ("http://1.2.3.4.5/", number),
        ("http://256.1.1.1/", number),
        ("http://example.0x/", number),
        ("http://１２７.0.0.1/", "image address has a host outside ASCII, expected its `xn--` form"),
        ("http://bücher.example/", "image address has a host outside ASCII, expected its `xn--` form"),
    ] {
        assert_eq!(read(url), Err(message.to_owned()), "{url}");
    }
    let long = format!("http://example.com/{}", "a".repeat(9000));
    assert_eq!(read(&long), Err("image address has 9019 bytes, expected at most 8192".to_owned()));
}

#[test]
fn references_are_resolved_against_the_page_they_stand_on() {
    let base = Target::parse("https://example.com:8443/a/b/c.jpg?q=1").unwrap();
    for (location, expected) in [
        ("http://other.example/x", "Http other.example 80 /x"),
        ("//other.example/x", "Https other.example 443 /x"),
        ("/x?y", "Https example.com 8443 /x?y"),
        ("x", "Https example.com 8443 /a/b/x"),
        ("./x/./y", "Https example.com 8443 /a/b/x/y"),
        ("../../../x", "Https example.com 8443 /x"),
        ("..", "Https example.com 8443 /a/"),
        ("?z=../2", "Https example.com 8443 /a/b/c.jpg?z=../2"),
        ("x?u=http://y/", "Https example.com 8443 /a/b/x?u=http://y/"),
        ("", "Https example.com 8443 /a/b/c.jpg"),
    ] {
        assert_eq!(base.redirected(location).map(spell).unwrap(), expected, "{location}");
    }
    for location in ["ftp://example.com/", "javascript:alert(1)", "http:x", "//user@host/"] {
        assert_eq!(base.redirected(location).unwrap_err().kind(), Kind::UrlInvalid, "{location}");
    }
}

#[test]
fn the_host_header_names_the_port_only_when_it_is_unusual() {
    for (url, expected) in [
        ("http://example.com/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("https://example.com:443/", "example.com"),
        ("http://[::1]:81/", "[::1]:81"),
    ] {
        assert_eq!(Target::parse(url).unwrap().host_header(), expected);
    }
}

#[test]
fn an_allowed_host_covers_its_own_name_and_port_only() {
    let covers =
        |allowed: &str, url: &str| allowed.parse::<AllowedHost>().unwrap().covers(&Target::parse(url).unwrap());
    assert!(covers("photos.test:9000", "http://PHOTOS.test:9000/a"));
    assert!(!covers("photos.test:9000", "http://photos.test/a"));
    assert!(!covers("photos.test:9000", "http://x.photos.test:9000/a"));
    assert!(covers("photos.test", "http://photos.test/a"));
    assert!(covers("photos.test", "https://photos.test/a"));
    assert!(!covers("photos.test", "http://photos.test:8080/a"));
    assert!(covers("[::1]:80", "http://[0:0::1]/"));
    for wrong in ["", "http://photos.test", "photos.test:x", "*.test", "a b", "::1"] {
        assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
    }
}

#[test]
fn private_and_special_addresses_are_not_public() {
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:1::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!is_public(ip.parse().unwrap()), "{ip}");
    }
    for ip in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "168.63.129.17",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.1",
        "192.167.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
        "3fff:1000::1",
    ] {
        assert!(is_public(ip.parse().unwrap()), "{ip}");
    }
}
