//! Tenants and access keys.

use likeness_domain::Kind;
use likeness_domain::types::{
    AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName, TimestampMs,
};

use super::samples::{ours, theirs};
use super::{Bench, refused};

fn tenant(id: TenantId, name: &str, created_at: i64) -> Tenant {
    Tenant { id, name: TenantName::new(name).expect("a valid name"), created_at: TimestampMs(created_at) }
}

fn key_id(text: &str) -> AccessKeyId {
    AccessKeyId::new(text).expect("a valid key id")
}

fn key(id: &str, tenant: &Tenant) -> AccessKey {
    AccessKey {
        id: key_id(id),
        secret: Secret::new(&format!("secret-of-{id}")).expect("a valid secret"),
        tenant: tenant.clone(),
        enabled: true,
        created_at: TimestampMs(5),
    }
}

/// Proposing it again gives the one that exists, with its own id and time.
pub async fn a_tenant_is_made_once(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(tenant(ours(), "acme", 1)).await.unwrap();
    let again = store.ensure_tenant(tenant(theirs(), "acme", 2)).await.unwrap();
    let found = store.tenant(acme.name.clone()).await.unwrap().unwrap();
    for tenant in [&acme, &again, &found] {
        assert_eq!((tenant.id, tenant.name.as_str(), tenant.created_at), (ours(), "acme", TimestampMs(1)));
    }
    refused(store.ensure_tenant(tenant(ours(), "other", 3)).await, Kind::InvalidArgument);
    assert!(store.tenant(TenantName::new("other").unwrap()).await.unwrap().is_none());
    store.ensure_tenant(tenant(theirs(), "aaa", 0)).await.unwrap();
    let names: Vec<_> = store.tenants().await.unwrap().into_iter().map(|tenant| tenant.name.to_string()).collect();
    assert_eq!(names, ["acme", "aaa"], "oldest first");
    bench
}

/// Every part, the secret included.
pub async fn a_key_comes_back_as_it_was_stored(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(tenant(ours(), "acme", 1)).await.unwrap();
    bench.credentials.add_key(key("AK1", &acme)).await.unwrap();
    let found = bench.credentials.key(key_id("AK1")).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.secret.reveal()), ("AK1", "secret-of-AK1"));
    assert_eq!((found.tenant.id, found.tenant.name.as_str()), (ours(), "acme"));
    assert_eq!((found.tenant.created_at, found.created_at, found.enabled), (TimestampMs(1), TimestampMs(5), true));
    assert!(bench.credentials.key(key_id("ak1")).await.unwrap().is_none(), "key ids are case-sensitive");
    bench
}

/// Also by another tenant; the first one's secret stays.
pub async fn a_key_id_is_taken_once(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(tenant(ours(), "acme", 1)).await.unwrap();
    let other = bench.credentials.ensure_tenant(tenant(theirs(), "other", 1)).await.unwrap();
    bench.credentials.add_key(key("AK1", &acme)).await.unwrap();
    refused(bench.credentials.add_key(key("AK1", &other)).await, Kind::InvalidArgument);
    assert_eq!(bench.credentials.key(key_id("AK1")).await.unwrap().unwrap().tenant.id, ours());
    assert!(bench.credentials.keys(theirs()).await.unwrap().is_empty());
    bench
}

/// A key of nobody is refused.
pub async fn a_key_needs_its_tenant(bench: Bench) -> Bench {
    refused(bench.credentials.add_key(key("AK1", &tenant(ours(), "acme", 1))).await, Kind::InvalidArgument);
    assert!(bench.credentials.key(key_id("AK1")).await.unwrap().is_none());
    bench
}

/// Each tenant's own, disabled ones included.
pub async fn keys_are_listed_oldest_first(bench: Bench) -> Bench {
    let acme = bench.credentials.ensure_tenant(tenant(ours(), "acme", 1)).await.unwrap();
    let other = bench.credentials.ensure_tenant(tenant(theirs(), "other", 1)).await.unwrap();
    for (id, owner) in [("z", &acme), ("x", &other), ("a", &acme), ("m", &acme)] {
        bench.credentials.add_key(key(id, owner)).await.unwrap();
    }
    bench.credentials.set_key_enabled(key_id("a"), false).await.unwrap();
    let ids: Vec<_> = bench.credentials.keys(ours()).await.unwrap().into_iter().map(|key| key.id.to_string()).collect();
    assert_eq!(ids, ["z", "a", "m"]);
    bench
}

/// And the answer says whether there was one.
pub async fn a_key_is_switched_and_deleted(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let acme = store.ensure_tenant(tenant(ours(), "acme", 1)).await.unwrap();
    store.add_key(key("AK1", &acme)).await.unwrap();
    for enabled in [false, false, true] {
        assert!(store.set_key_enabled(key_id("AK1"), enabled).await.unwrap());
        assert_eq!(store.key(key_id("AK1")).await.unwrap().unwrap().enabled, enabled);
    }
    assert!(store.delete_key(key_id("AK1")).await.unwrap());
    assert!(store.key(key_id("AK1")).await.unwrap().is_none());
    assert!(!store.delete_key(key_id("AK1")).await.unwrap());
    assert!(!store.set_key_enabled(key_id("AK1"), true).await.unwrap());
    store.add_key(key("AK1", &acme)).await.unwrap();
    bench
}

/// The one proposed first, which says nothing when it is printed.
pub async fn an_installation_keeps_one_secret(bench: Bench) -> Bench {
    let store = &bench.credentials;
    let first = InstallationSecret::from_bytes([1; 32]);
    assert!(store.installation_secret(first.clone()).await.unwrap() == first);
    assert!(store.installation_secret(InstallationSecret::from_bytes([2; 32])).await.unwrap() == first);
    assert_eq!(format!("{first:?}"), "***");
    bench
}
