use std::time::Duration;

use super::*;
use crate::block_on;

const SHARE: likeness_domain::access::Share =
    likeness_domain::access::Share { tenant: likeness_domain::types::TenantId::from_bits(1), weight: 1 };

#[test]
fn pages_failures_and_bounds() {
    let web = FakeFetcher::new();
    web.serve("http://a/", &b"12345"[..]);
    web.fail("http://b/", Kind::UrlForbidden);
    let get = |url: &str, bytes_max| {
        let rules = FetchRules { bytes_max, deadline: Duration::from_secs(1), share: SHARE };
        block_on(web.fetch(url, rules)).map_err(|err| err.kind())
    };
    assert_eq!(get("http://a/", 5), Ok(Bytes::from_static(b"12345")));
    assert_eq!(get("http://a/", 4), Err(Kind::ImageTooLarge));
    assert_eq!(get("http://b/", 5), Err(Kind::UrlForbidden));
    assert_eq!(get("http://c/", 5), Err(Kind::UrlUnreachable));
    assert_eq!(web.fetched(), ["http://a/", "http://a/", "http://b/", "http://c/"]);
}
