use super::*;

fn refused(address: &str) -> String {
    Address::parse(address, None).unwrap_err().to_string()
}

/// Sockets and this machine without TLS, everything else with it, unless the address says so.
#[test]
fn tls_is_demanded_of_other_machines() {
    let mode = |address: &str| Address::parse(address, None).unwrap().config.get_ssl_mode();
    assert_eq!(mode("postgres://likeness@%2Frun%2Fpostgresql/likeness"), SslMode::Disable);
    assert_eq!(mode("postgres://likeness@localhost/likeness"), SslMode::Disable);
    assert_eq!(mode("postgres://likeness@127.0.0.1:6000/likeness"), SslMode::Disable);
    assert_eq!(mode("postgres://likeness@db.example/likeness"), SslMode::Require);
    assert_eq!(mode("postgres://likeness@127.0.0.1,db.example/likeness"), SslMode::Require, "one of them is far");
    assert_eq!(mode("postgres://likeness@db.example/likeness?sslmode=disable"), SslMode::Disable);
    assert_eq!(mode("postgres://likeness@localhost/likeness?sslmode=verify-full"), SslMode::Require);
    let prefer = refused("postgres://likeness@db.example/likeness?sslmode=prefer");
    assert!(prefer.contains("`sslmode` is `prefer`, expected `verify-full`, `require` or `disable`"), "{prefer}");
}

/// A password comes apart from the address, and neither text nor debug form nor a refusal has it.
#[test]
fn a_password_is_never_shown() {
    let address = Address::parse("postgres://likeness@one:1,two:2/faces?connect_timeout=7", Some("s3cret")).unwrap();
    assert_eq!(address.config.get_password(), Some(&b"s3cret"[..]));
    assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(address.to_string(), "postgres://one:1,two:2/faces");
    assert_eq!(format!("{address:?}"), "postgres://one:1,two:2/faces");
    for holds_one in ["postgres://likeness:s3cret@one/faces", "postgres://likeness@one/faces?password=s3cret"] {
        let error = refused(holds_one);
        assert!(error.contains("it holds a password") && !error.contains("s3cret"), "{error}");
    }
    assert!(!refused("postgres://likeness:s3cret@one:port/faces").contains("s3cret"));
}

#[test]
fn what_is_no_address_is_refused() {
    for address in ["", "likeness.db", "postgres://", "mysql://one/faces", "postgres://likeness@one:99999/faces"] {
        let error = refused(address);
        assert!(error.contains("the address of the database cannot be used"), "{address}: {error}");
        assert!(error.contains("hint: write `postgres://user@host:5432/database`"), "{address}: {error}");
    }
    let no_file = refused("postgres://likeness@db.example/faces?sslrootcert=%2Fnowhere%2Fca.pem");
    assert!(no_file.contains("`sslrootcert` /nowhere/ca.pem"), "{no_file}");
}

/// Of several hosts the one that can be written to is taken. Issue 17: another wish was taken in silence and not followed.
#[test]
fn the_server_to_write_to_is_looked_for() {
    for query in ["", "?target_session_attrs=read-write"] {
        let address = Address::parse(&format!("postgres://likeness@one,two/faces{query}"), None).unwrap();
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }
    for query in ["target_session_attrs=any", "%74arget_session_attrs=any", "target_session_attrs"] {
        let other = refused(&format!("postgres://likeness@one,two/faces?{query}"));
        assert!(other.contains("expected `read-write` or nothing"), "{query}: {other}");
    }
}

/// Issue 17: what an address says is followed or refused, and the refusal names the word.
#[test]
fn words_of_the_address_are_followed_or_refused() {
    let parsed = |query: &str| Address::parse(&format!("postgres://likeness@one/faces{query}"), None).unwrap().config;
    let of_ours = parsed("");
    assert_eq!((of_ours.get_keepalives_idle(), of_ours.get_tcp_user_timeout()), (ALIVE_WITHIN, Some(&ALIVE_WITHIN)));
    let own = parsed("?keepalives_idle=3&tcp_user_timeout=4&application_name=faces&options=-c%20search_path%3Dfaces");
    let [idle, timeout] = [3, 4].map(Duration::from_secs);
    assert_eq!((own.get_keepalives_idle(), own.get_tcp_user_timeout()), (idle, Some(&timeout)));
    assert_eq!((own.get_application_name(), own.get_options()), (Some("faces"), Some("-c search_path=faces")));
    let unknown = refused("postgres://likeness@one/faces?sslcert=mine.pem");
    assert!(unknown.contains("`sslcert` is none of its words, which are `sslmode`, `sslrootcert`"), "{unknown}");
    let value = refused("postgres://likeness@one/faces?connect_timeout=soon");
    assert!(value.contains("the value of `connect_timeout` cannot be one"), "{value}");
    for word in ["cret", "sslmode", "sslrootcert", "port"] {
        let error = refused(&format!("postgres://likeness:5432?{word}=secret@one/faces"));
        assert!(error.contains("which is written `%40`") && !error.contains("cret"), "{error}");
    }
    assert!(refused("host=one target_session_attrs=any").contains("it is not written as one"));
}

/// A pooler in transaction mode is told of by the word that it has for that itself.
#[test]
fn a_pooler_is_told_of() {
    let parsed = |query: &str| Address::parse(&format!("postgres://likeness@one/faces{query}"), None).unwrap();
    assert!(parsed("?sslmode=disable&pool_mode=transaction").is_pooled);
    assert!(!parsed("").is_pooled && !parsed("?pool_mode=session").is_pooled);
    let other = refused("postgres://likeness@one/faces?pool_mode=statement");
    assert!(other.contains("`pool_mode` is `statement`, expected `session` or `transaction`"), "{other}");
}
