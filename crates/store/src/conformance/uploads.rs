//! Pictures that were handed in.

use bytes::Bytes;
use likeness_domain::limits::IMAGE_BYTES_MAX;
use likeness_domain::ports::{NewUpload, UploadQuota};
use likeness_domain::types::{TenantId, UploadName};
use likeness_domain::{Kind, Result};

use super::jobs::at;
use super::samples::{ours, theirs};
use super::{Bench, refused};

/// Room for anything.
pub const ROOM: UploadQuota = UploadQuota { n_max: u64::MAX, bytes_max: u64::MAX };

/// A picture that is forgotten at 1000.
pub fn picture(name: &str, bytes: impl Into<Bytes>) -> NewUpload {
    NewUpload { name: upload_name(name), bytes: bytes.into(), expires_at: at(1_000) }
}

/// That name.
pub fn upload_name(text: &str) -> UploadName {
    UploadName::new(text).expect("a valid name")
}

async fn put(bench: &Bench, picture: NewUpload, room: UploadQuota, now: i64) -> Result<()> {
    bench.pictures.put_upload(ours(), picture, room, at(now)).await
}

async fn found(bench: &Bench, tenant: TenantId, name: &str, now: i64) -> Option<Bytes> {
    bench.pictures.picture(tenant, upload_name(name), at(now)).await.unwrap()
}

/// Byte for byte, and not a moment longer.
pub async fn an_upload_is_kept_until_it_expires(bench: Bench) -> Bench {
    let bytes: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    put(&bench, picture("images/a b.jpg", bytes.clone()), ROOM, 0).await.unwrap();
    put(&bench, picture("empty", ""), ROOM, 0).await.unwrap();
    assert_eq!(found(&bench, ours(), "images/a b.jpg", 999).await.unwrap(), bytes);
    assert_eq!(found(&bench, ours(), "empty", 999).await.unwrap(), "");
    assert_eq!(found(&bench, ours(), "images/A b.jpg", 999).await, None);
    assert_eq!(found(&bench, ours(), "images/a b.jpg", 1_000).await, None);
    assert_eq!(bench.pictures.purge_expired_uploads(at(999)).await.unwrap(), 0);
    assert_eq!(bench.pictures.purge_expired_uploads(at(1_000)).await.unwrap(), 2);
    assert_eq!(found(&bench, ours(), "empty", 0).await, None, "it is erased");
    bench
}

/// With its bytes and its time; only the new one counts.
pub async fn an_upload_of_the_same_name_is_replaced(bench: Bench) -> Bench {
    let room = UploadQuota { n_max: 1, bytes_max: 6 };
    put(&bench, picture("a", "first"), room, 0).await.unwrap();
    put(&bench, NewUpload { expires_at: at(2_000), ..picture("a", "second") }, room, 0).await.unwrap();
    assert_eq!(found(&bench, ours(), "a", 1_999).await.unwrap(), "second");
    bench
}

/// Neither seen nor counted nor replaced.
pub async fn uploads_of_another_tenant_are_not_there(bench: Bench) -> Bench {
    let room = UploadQuota { n_max: 1, bytes_max: 10 };
    put(&bench, picture("a", "ours"), room, 0).await.unwrap();
    assert_eq!(found(&bench, theirs(), "a", 0).await, None);
    bench.pictures.put_upload(theirs(), picture("a", "theirs"), room, at(0)).await.unwrap();
    assert_eq!(found(&bench, theirs(), "a", 0).await.unwrap(), "theirs");
    assert_eq!(found(&bench, ours(), "a", 0).await.unwrap(), "ours");
    bench
}

/// By number and by bytes; those whose time is over leave room although they are not erased yet.
pub async fn uploads_are_bounded_by_the_quota(bench: Bench) -> Bench {
    let room = UploadQuota { n_max: 2, bytes_max: 10 };
    put(&bench, picture("a", "12345"), room, 0).await.unwrap();
    refused(put(&bench, picture("b", "123456"), room, 0).await, Kind::Overloaded);
    assert_eq!(found(&bench, ours(), "b", 0).await, None);
    put(&bench, picture("b", "12345"), room, 0).await.unwrap();
    refused(put(&bench, picture("c", ""), room, 0).await, Kind::Overloaded);
    refused(put(&bench, picture("a", "123456"), room, 0).await, Kind::Overloaded);
    assert_eq!(found(&bench, ours(), "a", 0).await.unwrap(), "12345", "a refusal leaves the old one");
    put(&bench, NewUpload { expires_at: at(3_000), ..picture("c", "1234567890") }, room, 1_000).await.unwrap();
    assert_eq!(found(&bench, ours(), "c", 1_000).await.unwrap(), "1234567890");
    bench
}

/// At once, and nobody else's; what is not there is forgotten already.
pub async fn an_upload_is_forgotten_before_its_time(bench: Bench) -> Bench {
    let room = UploadQuota { n_max: 1, bytes_max: 10 };
    put(&bench, picture("a", "ours"), room, 0).await.unwrap();
    bench.pictures.put_upload(theirs(), picture("a", "theirs"), room, at(0)).await.unwrap();
    for name in ["a", "a", "never"] {
        bench.pictures.erase_upload(ours(), upload_name(name)).await.unwrap();
    }
    assert_eq!(found(&bench, ours(), "a", 0).await, None);
    assert_eq!(found(&bench, theirs(), "a", 0).await.unwrap(), "theirs");
    put(&bench, picture("b", "1234567890"), room, 0).await.unwrap();
    assert_eq!(bench.pictures.purge_expired_uploads(at(1_000)).await.unwrap(), 2);
    bench
}

/// The library's bound is the store's.
pub async fn uploads_have_a_size(bench: Bench) -> Bench {
    let large = |len| Bytes::from(vec![7; len]);
    put(&bench, picture("a", large(IMAGE_BYTES_MAX)), ROOM, 0).await.unwrap();
    refused(put(&bench, picture("b", large(IMAGE_BYTES_MAX + 1)), ROOM, 0).await, Kind::InvalidArgument);
    assert_eq!(found(&bench, ours(), "a", 0).await.unwrap().len(), IMAGE_BYTES_MAX);
    bench
}

/// More than go in one commit, and no other.
pub async fn many_uploads_are_purged_together(bench: Bench) -> Bench {
    for number in 0..30 {
        let expires_at = at(if number % 3 == 0 { 2_000 } else { 1_000 });
        let picture = NewUpload { expires_at, ..picture(&number.to_string(), "bytes") };
        put(&bench, picture, ROOM, 0).await.unwrap();
    }
    assert_eq!(bench.pictures.purge_expired_uploads(at(1_500)).await.unwrap(), 20);
    for number in 0..30 {
        assert_eq!(found(&bench, ours(), &number.to_string(), 0).await.is_some(), number % 3 == 0, "{number}");
    }
    bench
}
