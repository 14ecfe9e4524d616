//! Where images come from and what they may be.

use likeness_domain::Kind;
use serde_json::{Value, json};

use super::server::{F1, F2, Reply, Server, base64};
use crate::huawei::Settings;

fn detect(server: &Server, body: Value) -> Reply {
    server.post("/face-detect", body)
}

fn width_found(reply: Reply) -> u64 {
    reply.ok().json["faces"][0]["bounding_box"]["width"].as_u64().unwrap()
}

#[test]
fn case_044_what_is_not_an_image() {
    let server = Server::new();
    let with = |text: &str| detect(&server, json!({"image_base64": text}));
    for wrong in ["###", "a", "data:image/jpeg;base64", "data:image/jpeg,xxxx", "\u{e9}", "    "] {
        with(wrong).bad("FRS.0015");
    }
    with(&base64("plain text")).bad("FRS.0016");
    with(&base64(format!("format gif\n{F1}"))).bad("FRS.0016");
    with(&base64(format!("format webp\n{F1}"))).bad("FRS.0016");
    with(&base64(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")).bad("FRS.0016");
    with(&base64("error ImageCorrupt")).bad("FRS.0016");
    for format in ["jpeg", "png", "bmp"] {
        with(&base64(format!("format {format}\n{F1}"))).ok();
    }
}

#[test]
fn case_045_base64_as_people_send_it() {
    let server = Server::new();
    let plain = base64(F1);
    let broken_lines: Vec<&str> = plain.as_bytes().chunks(7).map(|line| std::str::from_utf8(line).unwrap()).collect();
    for text in [
        broken_lines.join("\r\n"),
        format!("data:image/jpeg;base64,{plain}"),
        format!(" DATA:image/png;BASE64,\n{plain}\n"),
        plain.trim_end_matches('=').to_owned(),
    ] {
        assert_eq!(width_found(detect(&server, json!({"image_base64": text}))), 120, "{text}");
    }
}

#[test]
fn case_046_no_image() {
    let server = Server::new();
    for body in [json!({}), json!({"image_base64": ""}), json!({"image_base64": null}), json!({"image_url": ""})] {
        detect(&server, body).bad("FRS.0011");
    }
    detect(&server, json!({"image_base64": 5})).bad("FRS.0012");
    server.post_form("/face-detect", &[("image_file", "")]).bad("FRS.0011");
    server.post_form("/face-detect", &[]).bad("FRS.0011");
}

#[test]
fn case_047_too_many_bytes() {
    let server = Server::with(Settings { image_bytes_max: 1000, ..Settings::default() });
    let picture = |n_bytes: usize| format!("{F1}{}", "\n".repeat(n_bytes - F1.len()));
    detect(&server, json!({"image_base64": base64(picture(750))})).ok();
    detect(&server, json!({"image_base64": base64(picture(751))})).bad("FRS.0017");
    server.post_form("/face-detect", &[("image_file", &picture(1000))]).ok();
    server.post_form("/face-detect", &[("image_file", &picture(1001))]).bad("FRS.0017");
    let pair = |n_bytes: usize| [("image1_file", picture(500)), ("image2_file", picture(n_bytes))];
    let compare = |n_bytes: usize| {
        let pair = pair(n_bytes);
        let parts: Vec<(&str, &str)> = pair.iter().map(|(name, text)| (*name, text.as_str())).collect();
        server.post_form("/face-compare", &parts)
    };
    compare(500).ok();
    compare(501).bad("FRS.0017");
}

#[test]
fn an_image_of_more_than_8_mb_is_refused_by_default() {
    let server = Server::new();
    let most = 8 * 1024 * 1024;
    detect(&server, json!({"image_base64": "A".repeat(most)})).bad("FRS.0016");
    detect(&server, json!({"image_base64": "A".repeat(most + 1)})).bad("FRS.0017");
}

#[test]
fn dimensions() {
    let server = Server::new();
    let with = |size: &str| detect(&server, json!({"image_base64": base64(format!("size {size}\n{F1}"))}));
    with("4096x4096").ok();
    with("4097x200").bad("FRS.0013");
    with("200x4097").bad("FRS.0013");
}

#[test]
fn of_several_sources_base64_then_file_then_url_counts() {
    let server = Server::new();
    server.fetcher.serve("https://example.org/a.jpg", "face carl 50x50+0+0");
    let url = "https://example.org/a.jpg";
    let both = json!({"image_base64": base64(F1), "image_url": url});
    assert_eq!(width_found(detect(&server, both)), 120);
    let form = server.post_form("/face-detect", &[("image_file", F2), ("image_url", url)]);
    assert_eq!(width_found(form), 90);
    let form =
        server.post_form("/face-detect", &[("image_url", url), ("image_base64", &base64(F1)), ("image_file", F2)]);
    assert_eq!(width_found(form), 120);
    assert!(server.fetcher.fetched().is_empty());
    assert_eq!(width_found(detect(&server, json!({"image_url": url}))), 50);
}

#[test]
fn a_file_may_come_without_a_file_name_or_before_the_text() {
    let server = Server::with_lib_a();
    let parts = [("image_file", F1), ("external_image_id", "first"), ("single", "TRUE")];
    let reply = server.post_form("/face-sets/lib-a/faces", &parts).ok();
    assert_eq!(reply.json["faces"][0]["external_image_id"], "first");
    let body = format!("--bnd\r\nContent-Disposition: form-data; name=\"image_file\"\r\n\r\n{F1}\r\n--bnd--\r\n");
    let mut request = server.request("POST", &server.target("/face-detect"), body);
    request.headers_mut().insert("content-type", "Multipart/Form-Data; charset=x; BOUNDARY=\"bnd\"".parse().unwrap());
    assert_eq!(width_found(server.send_signed_in(request)), 120);
}

#[test]
fn addresses() {
    let server = Server::new();
    let with = |url: &str| detect(&server, json!({"image_url": url}));
    for wrong in ["word", "ftp://example.org/a", "http://", "/", "/bucket", "/bucket/", "//key", "://x", "/b/../c"] {
        with(wrong).bad("FRS.0021");
    }
    with("https://example.org/missing.jpg").bad("FRS.0036");
    server.fetcher.fail("https://10.0.0.1/a.jpg", Kind::UrlForbidden);
    with("https://10.0.0.1/a.jpg").bad("FRS.0035");
    server.fetcher.fail("https://exa mple/a.jpg", Kind::UrlInvalid);
    with("https://exa mple/a.jpg").bad("FRS.0021");
    server.fetcher.fail("https://example.org/huge.jpg", Kind::ImageTooLarge);
    with("https://example.org/huge.jpg").bad("FRS.0036");
    server.fetcher.serve("HTTP://example.org/a.jpg", F1);
    with("HTTP://example.org/a.jpg").ok();
}

#[test]
fn bucket_paths_need_an_object_storage() {
    let server = Server::new();
    detect(&server, json!({"image_url": "/bucket/key.jpg"})).bad("FRS.0022");
    assert!(server.fetcher.fetched().is_empty());
    // Without one, a public object is fetched like any other address.
    let public = "https://bucket.obs.cn-north-4.myhuaweicloud.com/dir/key.jpg";
    server.fetcher.serve(public, F1);
    detect(&server, json!({"image_url": public})).ok();

    let settings = Settings { object_storage: Some("http://minio:9000/".to_owned()), ..Settings::default() };
    let server = Server::with(settings);
    server.fetcher.serve("http://minio:9000/bucket/dir/key.jpg", F1);
    for url in ["/bucket/dir/key.jpg", public] {
        detect(&server, json!({"image_url": url})).ok();
    }
    detect(&server, json!({"image_url": "/bucket/missing"})).bad("FRS.0022");
    for climbing in ["/bucket/%2e%2e/other/key", "https://bucket.obs.x.myhuaweicloud.com/../key", "/b/..%5ck"] {
        detect(&server, json!({"image_url": climbing})).bad("FRS.0021");
    }
}

#[test]
fn compare_fetches_both() {
    let server = Server::new();
    server.fetcher.serve("https://example.org/1", F1);
    let body = |second: &str| json!({"image1_url": "https://example.org/1", "image2_url": second});
    assert_eq!(server.post("/face-compare", body("https://example.org/1")).ok().json["similarity"], 1.0);
    server.post("/face-compare", body("https://example.org/2")).bad("FRS.0036");
}

#[test]
fn a_small_face_is_a_face() {
    let server = Server::with_lib_a();
    assert_eq!(width_found(detect(&server, json!({"image_base64": base64("face dora 12x12+0+0")}))), 12);
    server.add("face dora 12x12+0+0", "dora", json!({}));
}
