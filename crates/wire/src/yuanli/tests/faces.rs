//! Cases C01 to C19: adding faces.

use likeness_domain::Kind;

use super::super::settings::Settings;
use super::server::{NOBODY, NOW_S, P1, P1B, P2, Server, base64};

#[track_caller]
fn add(server: &Server, fields: &[(&str, &str)]) -> super::server::Reply {
    let mut all = vec![("group_id", "lib_a"), ("user_id", "u1")];
    all.extend(fields);
    server.call("add", &all)
}

#[test]
fn c01_c02_a_face_is_added_from_a_file_or_from_base64() {
    let server = Server::with_lib_a();
    let first = add(&server, &[("file", P1), ("user_data", "shift A")]).ok();
    let token = first.token();
    for holder in [&first.json, &first.json["info"]] {
        assert_eq!(holder["face_token"], token.as_str());
        assert_eq!(holder["user_id"], "u1");
        assert_eq!(holder["user_data"], "shift A");
        assert_eq!(holder["add_time"], NOW_S * 1000);
    }
    assert_eq!(first.json["group_id"], "lib_a");
    assert_eq!((&first.json["face_added"], &first.json["face_count"]), (&1.into(), &1.into()));
    assert_eq!(first.list("failure_detail").len(), 0);
    let second = add(&server, &[("image", &base64(P1))]).ok();
    assert_ne!(second.token(), token);
    assert_eq!(second.json["face_count"], 2);
}

#[test]
fn c03_c04_one_picture_is_needed_and_the_file_wins() {
    let server = Server::with_lib_a();
    add(&server, &[]).bad("MISSING_ARGUMENTS: image, file");
    add(&server, &[("image", ""), ("file", "")]).bad("MISSING_ARGUMENTS: image, file");
    let token = add(&server, &[("file", P1), ("image", &base64(P2))]).ok().token();
    assert_eq!(server.search(P1, &[("threshold", "80")]).ok().found(), [token]);
    assert_eq!(server.search(P2, &[("threshold", "80")]).ok().found().len(), 0);
}

#[test]
fn c05_c06_c07_whose_face_it_is() {
    let server = Server::with_lib_a();
    let fields = [("group_id", "lib_a"), ("file", P1)];
    server.call("add", &fields).bad("MISSING_ARGUMENTS: user_id");
    for user in ["a b", &"a".repeat(49), "\u{e9}"] {
        server.call("add", &[fields[0], fields[1], ("user_id", user)]).bad("BAD_ARGUMENTS: user_id");
    }
    add(&server, &[("file", P1), ("user_data", &"x".repeat(129))]).bad("BAD_ARGUMENTS: user_data");
    add(&server, &[("file", P1), ("user_data", &"\u{4eba}".repeat(128))]).ok();
}

#[test]
fn c08_no_face_is_an_error_and_nothing_is_stored() {
    let server = Server::with_lib_a();
    add(&server, &[("file", NOBODY)]).bad("NO_FACE_FOUND: file");
    add(&server, &[("image", &base64(NOBODY))]).bad("NO_FACE_FOUND: image");
    assert_eq!(server.n_listed(), 0);
}

#[test]
fn a_face_that_is_not_good_enough_is_not_added() {
    let server = Server::with_lib_a();
    add(&server, &[("file", "face anna 100x100+0+0 sharpness=0.05")]).bad("LOW_QUALITY");
    add(&server, &[("file", "face anna 39x100+0+0")]).bad("LOW_QUALITY");
    let settings = Settings { min_face_quality: 80, min_face_px: 0, ..Settings::default() };
    let strict = Server::with(settings);
    strict.make("lib_a");
    add(&strict, &[("file", "face anna 100x100+0+0 total=0.79")]).bad("LOW_QUALITY");
    add(&strict, &[("file", "face anna 30x30+0+0 total=0.8")]).ok();
    assert_eq!((server.n_listed(), strict.n_listed()), (0, 1));
}

#[test]
fn c09_c10_c11_what_is_no_picture() {
    let server = Server::with_lib_a();
    let gif = format!("format gif\n{P1}");
    add(&server, &[("file", &gif)]).bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: file");
    add(&server, &[("file", &format!("format webp\n{P1}"))]).bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: file");
    add(&server, &[("image", "not-base64!")]).bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image");
    add(&server, &[("image", &base64("no picture at all"))]).bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: image");
    server.analyzer.fail_next(Kind::ImageCorrupt);
    add(&server, &[("file", P1)]).bad("IMAGE_ERROR_UNSUPPORTED_FORMAT: file");
    assert_eq!(server.n_listed(), 0);
}

#[test]
fn c12_pictures_have_their_sizes() {
    let server = Server::with_lib_a();
    for size in ["5000x100", "100x5000", "47x100", "100x47"] {
        add(&server, &[("file", &format!("size {size}\nformat png"))]).bad("INVALID_IMAGE_SIZE: file");
    }
    add(&server, &[("file", "size 4096x48")]).bad("NO_FACE_FOUND: file");
    let long = format!("{P1}\n{}", " ".repeat(10 * 1024 * 1024));
    add(&server, &[("file", &long)]).bad("IMAGE_FILE_TOO_LARGE: file");
}

#[test]
fn c13_jpeg_png_and_bmp_are_pictures() {
    let server = Server::with_lib_a();
    for format in ["jpeg", "png", "bmp"] {
        add(&server, &[("file", &format!("format {format}\n{P1}"))]).ok();
    }
}

#[test]
fn c14_c15_a_picture_on_its_side() {
    let server = Server::with_lib_a();
    // Turned faces are found whatever the switch says: tests/e2e tries that with real photographs.
    for value in ["0", "1"] {
        add(&server, &[("file", P1), ("multi_oriented_detection", value)]).ok();
    }
    for value in ["true", "2", "-1", "01"] {
        let fields = [("file", P1), ("multi_oriented_detection", value)];
        add(&server, &fields).bad("BAD_ARGUMENTS: multi_oriented_detection");
    }
}

#[test]
fn c16_of_several_faces_the_largest_counts() {
    let server = Server::with_lib_a();
    let both = "face bert 40x40+300+100\nface anna 150x150+10+20";
    let token = add(&server, &[("file", both)]).ok().token();
    assert_eq!(server.search(P1, &[("threshold", "90")]).ok().found(), [token]);
    assert_eq!(server.n_listed(), 1);
}

#[test]
fn c17_an_unknown_library() {
    let server = Server::new();
    add(&server, &[("file", P1)]).bad("INVALID_GROUP_ID");
    server.call("add", &[("file", P1), ("user_id", "u1")]).bad("MISSING_ARGUMENTS: group_id");
}

#[test]
fn c18_base64_is_read_as_clients_send_it() {
    let server = Server::with_lib_a();
    let text = base64(P1);
    add(&server, &[("image", &format!("data:image/jpeg;base64,{text}"))]).ok();
    add(&server, &[("image", &format!("{}\r\n{}\r\n", &text[..10], &text[10..]))]).ok();
    add(&server, &[("image", text.trim_end_matches('='))]).ok();
    assert_eq!(server.n_listed(), 3);
}

#[test]
fn c18_bytes_and_text_may_change_places() {
    let server = Server::with_lib_a();
    // The fake photographs begin like none; these two do, and show nobody.
    add(&server, &[("file", &base64(b"\xff\xd8\xff\xe0 rest"))]).bad("NO_FACE_FOUND: file");
    add(&server, &[("image", "BM raw bytes")]).bad("NO_FACE_FOUND: image");
    let sign = super::server::DEMO.sign("hmac_sha1", &(NOW_S + 9).to_string(), NOW_S, "1");
    let fields = [("sign", sign.as_str()), ("sign_version", "hmac_sha1"), ("group_id", "lib_a"), ("user_id", "u1")];
    let mut body = Server::form(&fields).replace("--bnd--\r\n", "");
    body += &format!("--bnd\r\nContent-Disposition: form-data; name=image; filename=a.jpg\r\n\r\n{P1}\r\n--bnd--");
    server.send(Server::multipart("add", body)).ok();
    // Blanks where a plus was not escaped.
    let picture = (0..200).map(|idx| format!("{P1}{}", " ".repeat(idx))).find(|text| base64(text).contains('+'));
    if let Some(picture) = picture {
        let sign = sign.replace('+', "%2B");
        let body = format!(
            "sign={sign}&sign_version=hmac_sha1&group_id=lib_a&user_id=u1&image={}",
            base64(picture).replace('=', "%3D")
        );
        server.post_text("add", &body).ok();
    }
}

#[test]
fn c19_one_user_may_have_many_faces() {
    let server = Server::with_lib_a();
    let tokens = [server.add(P1, "u1"), server.add(P1B, "u1")];
    assert_ne!(tokens[0], tokens[1]);
    let reply = server.call("list", &[("group_id", "lib_a")]).ok();
    let users: Vec<&str> = reply.list("face_tokens").iter().map(|face| face["user_id"].as_str().unwrap()).collect();
    assert_eq!(users, ["u1", "u1"]);
}
