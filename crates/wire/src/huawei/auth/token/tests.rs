use likeness_testkit::SeededIds;

use super::*;

fn token() -> Token {
    Token {
        access_key_id: AccessKeyId::new("AK-1").unwrap(),
        has_project: true,
        expires_at: TimestampMs(1_767_323_045_000),
    }
}

fn secret() -> Secret {
    Secret::new("a-secret").unwrap()
}

/// What a token says to whoever knows the secret.
fn proved(text: &[u8], secret: &Secret) -> Option<Token> {
    KIND.read(text).filter(|claim| KIND.is_sealed(claim, secret)).and_then(Token::said_by)
}

#[test]
fn says_again_what_it_was_made_to_say() {
    for has_project in [true, false] {
        let token = Token { has_project, ..token() };
        let text = token.seal(&secret(), &SeededIds::new(1));
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(proved(text.as_bytes(), &secret()), Some(token));
    }
}

#[test]
fn two_tokens_are_never_the_same() {
    let ids = SeededIds::new(1);
    assert_ne!(token().seal(&secret(), &ids), token().seal(&secret(), &ids));
}

#[test]
fn another_secret_proves_nothing() {
    let text = token().seal(&secret(), &SeededIds::new(1));
    let other = Secret::new("another-secret").unwrap();
    assert_eq!(proved(text.as_bytes(), &other), None);
}

#[test]
fn any_changed_character_makes_it_worthless() {
    let text = token().seal(&secret(), &SeededIds::new(1));
    for at in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert_eq!(proved(&changed, &secret()), None, "character {at}");
    }
}

#[test]
fn garbage_is_no_token() {
    for text in ["", "x", "AAAA", "not base64!", &"A".repeat(10_000), "\u{e9}"] {
        assert_eq!(proved(text.as_bytes(), &secret()), None, "{text}");
    }
}
