//! A Milvus that asks for a password and speaks TLS.

use likeness_domain::{Error, Kind};

use super::*;

async fn first_step(address: likeness_store::milvus::Address) -> likeness_domain::Result<Vec<Hit>> {
    let truth = Arc::new(MemoryTruth::default());
    let settings = Settings { from_faces: 1, look_every: Duration::ZERO, ..Settings::new(address) };
    let inner = Arc::new(BruteForceIndex::new());
    let index = MilvusIndex::new(inner, Arc::clone(&truth) as _, settings, Handle::current());
    let rows = (1..=8).map(|number| putting(SET, entry(number, &[number as f32, 1.0, 0.0])));
    let changes: Vec<GalleryChange> = std::iter::once(opening(SET)).chain(rows).collect();
    index.apply(truth.commit(&changes), changes).await?;
    while !index.is_elsewhere(set(SET)) {
        index.step().await?;
    }
    assert!(index.compare(set(SET)).await?.is_none());
    index.search(question(SET, &[1.0, 1.0, 0.0], 3)).await
}

fn whole(error: &Error) -> String {
    format!("{error:?} {error} {}", std::error::Error::source(error).map(ToString::to_string).unwrap_or_default())
}

#[test]
fn a_milvus_with_tls_and_a_password_is_used_and_nothing_less_gets_in() {
    if !server::is_installed() {
        return;
    }
    let (server, runtime) = (Server::start(Variety::Secured), runtime());
    let certificate = server.certificate();
    let found = runtime.block_on(first_step(server.address())).unwrap();
    assert_eq!(found.iter().map(|hit| hit.face).collect::<Vec<_>>(), [face(1), face(2), face(3)]);
    let other = server.certificate().with_file_name("other.pem");
    server::make_certificate(&other, &other.with_extension("key"));
    let plain = server.address().shown().replace("https://", "http://");
    let plain = likeness_store::milvus::Address::parse(&plain, Some("root:Milvus"), None).unwrap();
    for (address, why, cure) in [
        (server.address_with(Some("root:Milvus"), None), "certificate", Some("`milvus.ca_file`")),
        (server.address_with(Some("root:Milvus"), Some(&other)), "certificate", Some("`milvus.ca_file`")),
        (server.address_with(Some("root:s3cret"), Some(&certificate)), "auth check", Some("`milvus.token_file`")),
        (server.address_with(None, Some(&certificate)), "missing authorization", Some("`milvus.token_file`")),
        (plain, "HasCollection", None),
    ] {
        let refused = runtime.block_on(async { first_step(address).await.unwrap_err() });
        assert_eq!(refused.kind(), Kind::Overloaded, "{refused:?}");
        let said = whole(&refused);
        assert!(said.contains(why), "{said}");
        // What does not pass by itself says what is to be changed, and not to try again.
        assert_eq!(said.contains("try again"), cure.is_none(), "{said}");
        assert_eq!(refused.hint().map(|hint| hint.contains(cure.unwrap())), cure.map(|_| true), "{refused:?}");
        assert!(!said.contains("s3cret") && !said.contains("root:"), "{said}");
    }
    for file in ["server.key", "no such file"] {
        let file = certificate.with_file_name(file);
        let refused = likeness_store::milvus::Address::parse("https://a", None, Some(&file)).unwrap_err();
        assert!(refused.to_string().contains("`milvus.ca_file`"), "{refused}");
    }
}
