//! Endpoints: parsed, formatted and resolved.

use proptest::prelude::*;

use crate::net::endpoint::*;

fn parse(text: &str) -> Result<Endpoint, EndpointError> {
    text.parse()
}

fn host(host: &str, port: u16) -> Endpoint {
    Endpoint::Host { host: host.to_owned(), port }
}

#[test]
fn every_form_round_trips() {
    for (text, expected) in [
        ("127.0.0.1:12345", host("127.0.0.1", 12345)),
        ("localhost:0", host("localhost", 0)),
        ("my-host_1.example.org:65535", host("my-host_1.example.org", 65535)),
        ("[::1]:8080", host("::1", 8080)),
        ("[fe80::1%eth0]:1", host("fe80::1%eth0", 1)),
        (":8080", Endpoint::Any(8080)),
        ("unix:/run/a b.sock", Endpoint::Unix("/run/a b.sock".into())),
        ("unix:C:1", Endpoint::Unix("C:1".into())),
        ("unix:@name", Endpoint::Unix("\0name".into())),
        ("unix:./@name", Endpoint::Unix("./@name".into())),
    ] {
        assert_eq!(parse(text), Ok(expected.clone()), "{text}");
        assert_eq!(expected.to_string(), text);
    }
}

#[test]
fn parse_error_names_text_and_remedy() {
    for (text, remedy) in [
        ("", "HOST:PORT"),
        ("8080", "write :8080 or 127.0.0.1:8080"),
        ("80808", "0 to 65535"),
        ("localhost", "HOST:PORT"),
        ("localhost:", "HOST:PORT"),
        ("[::1]", "HOST:PORT"),
        ("a:http", "0 to 65535"),
        ("a:65536", "0 to 65535"),
        ("a:-1", "0 to 65535"),
        ("a:+1", "0 to 65535"),
        ("::1:80", "brackets"),
        ("[a.b]:80", "[::1]"),
        ("[::1:80", "[::1]"),
        ("[fe80::1%]:80", "[::1]"),
        ("*:80", "write :PORT"),
        ("a b:80", "not a name or address"),
        ("unix:", "unix:PATH"),
        ("unix:@", "unix:PATH"),
        ("unix:a\0b", "unix:PATH"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(
            error.contains(remedy) && error.contains(&format!("{text:?}")),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn host_without_port_has_default_port() {
    let parse = |text| Endpoint::parse_with_default_port(text, 7);
    assert_eq!(parse("board.local"), Ok(host("board.local", 7)));
    assert_eq!(parse("127.0.0.1"), Ok(host("127.0.0.1", 7)));
    assert_eq!(parse("[::1]"), Ok(host("::1", 7)));
    assert_eq!(parse("board.local:8"), Ok(host("board.local", 8)));
    assert_eq!(parse("unix:/x"), Ok(Endpoint::Unix("/x".into())));
    for wrong in ["", "8080", "80808", "localhost:", ":", "::1", "[::1", "a b", "[::1]:"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn only_loopback_and_unix_are_local() {
    for local in
        ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LocalHost:1", "unix:/x"]
    {
        assert!(!parse(local).unwrap().is_wider_than_loopback(), "{local}");
    }
    for wide in [":1", "0.0.0.0:1", "[::]:1", "192.168.1.1:1", "example.org:1"] {
        assert!(parse(wide).unwrap().is_wider_than_loopback(), "{wide}");
    }
}

#[test]
fn endpoints_resolve_to_addresses() {
    smol::block_on(async {
        let literal = parse("[::1]:7").unwrap().resolve().await.unwrap();
        assert_eq!(literal, ["[::1]:7".parse().unwrap()]);
        assert_eq!(parse(":7").unwrap().resolve().await.unwrap().len(), 2);

        let named = parse("localhost:7").unwrap().resolve().await.unwrap();
        assert!(
            !named.is_empty() && named.iter().all(|address| address.ip().is_loopback()),
            "{named:?}"
        );

        let unix = parse("unix:/x").unwrap().resolve().await.unwrap_err();
        assert_eq!(unix.kind(), io::ErrorKind::Unsupported);
    });
}

#[test]
fn addresses_convert_to_endpoints() {
    let v4: SocketAddr = "127.0.0.1:4711".parse().unwrap();
    let v6: SocketAddr = "[fe80::1%3]:4711".parse().unwrap();
    assert_eq!(Endpoint::from(v4).to_string(), "127.0.0.1:4711");
    assert_eq!(Endpoint::from(v6).to_string(), "[fe80::1%3]:4711");
}

proptest! {
    #[test]
    fn parsed_endpoint_round_trips(
        text in r"(unix:@?|\[)?[a-z0-9:.%\[\]@/-]{0,12}:?[0-9]{0,5}",
    ) {
        if let Ok(endpoint) = parse(&text) {
            prop_assert_eq!(parse(&endpoint.to_string()), Ok(endpoint));
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse(&text);
    }
}
