//! The entry for fuzzing.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;

use super::{Fields, PARTS_MAX};
use crate::megvii::picture;

/// Entry for fuzzing: the first byte says what the rest claims to be, a zero byte parts the body from the query.
/// Whatever they are, reading ends at once, takes no more fields than it may, and every field can be asked for anything.
pub fn fuzz_fields(data: &[u8]) {
    let Some((&claim, rest)) = data.split_first() else { return };
    let content_type = match claim % 3 {
        0 => "multipart/form-data; boundary=x",
        1 => "application/x-www-form-urlencoded",
        _ => "application/json",
    };
    let (body, query) = match rest.iter().position(|&byte| byte == 0) {
        Some(end) => (&rest[..end], std::str::from_utf8(&rest[end + 1..]).ok()),
        None => (rest, None),
    };
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type))]);
    let reading = std::pin::pin!(Fields::read(&headers, Bytes::copy_from_slice(body), query));
    let Poll::Ready(fields) = reading.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("a body that is there is read at once");
    };
    assert!(fields.0.len() <= 2 * PARTS_MAX, "{} fields", fields.0.len());
    for field in &fields.0 {
        let name = &field.name;
        let found = fields.present(name).expect("it is there");
        assert_eq!(fields.get(name).is_none(), found.bytes.is_empty());
        let _ = (fields.text(name), fields.switch(name), fields.whole(name));
        let file = picture::of_file(field);
        assert!(file.len() <= field.bytes.len());
        assert!(picture::of_text(field).is_none_or(|bytes| bytes.len() <= field.bytes.len()));
    }
}
