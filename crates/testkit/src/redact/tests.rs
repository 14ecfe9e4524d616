use super::*;

#[track_caller]
fn check(redactor: Redactor, text: &str, expected: &str) {
    let mut redactor = redactor;
    assert_eq!(redactor.redact(text), expected);
}

#[test]
fn times_uuids_hex_and_ports_get_names() {
    check(Redactor::new(), "at 2026-03-01T08:00:00.123Z and 2026-03-01 08:00:01", "at [time 1] and [time 2]");
    check(Redactor::new(), "\"t\":1772352000000,", "\"t\":[time 1],");
    check(Redactor::new(), "id 1b4e28ba-2fa1-11d2-883f-0016d3cca427", "id [uuid 1]");
    check(Redactor::new(), "/v2/0123456789abcdef0123456789abcdef/x", "/v2/[hex 1]/x");
    check(Redactor::new(), "http://127.0.0.1:40123/", "http://127.0.0.1:[port 1]/");
}

#[test]
fn ordinary_words_and_numbers_stay() {
    for text in ["face 12345", "17723520000001", "a 2026-03-01", "deadbeef", "127.0.0.1: no port", "é"] {
        check(Redactor::new(), text, text);
    }
}

#[test]
fn equal_values_get_equal_names() {
    let text = r#"{"face_id":"abCD1234","a":[{"face_id": "zzzz9999"},{"face_id":"abCD1234"},{"face_id":77}]}"#;
    let expected = r#"{"face_id":"[face_id 1]","a":[{"face_id": "[face_id 2]"},{"face_id":"[face_id 1]"},{"face_id":[face_id 3]}]}"#;
    check(Redactor::new().member("face_id"), text, expected);
}

#[test]
fn a_known_value_gets_its_name_everywhere() {
    check(Redactor::new().value("AKX", "key"), "AKX signs, AKXAKX", "[key] signs, [key][key]");
}

#[test]
fn a_member_without_a_value_is_left_alone() {
    for text in [r#"["face_id"]"#, r#""face_id":"#, r#""face_id":{}"#, r#""face_id":"open"#] {
        check(Redactor::new().member("face_id"), text, text);
    }
}
