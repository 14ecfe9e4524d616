//! Values that were read, kept as long as nothing has changed since.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most values; when it is full, the outdated ones are dropped, or else all.
const LEN_MAX: usize = 1024;

/// Values by key, each with the version `N` of the database that it was read at.
///
/// Who reads a value takes the version first: a value is then at least as new as the version it is kept with, and is never
/// returned once there is a later one.
pub(super) struct VersionedCache<K, N, V>(Mutex<HashMap<K, (N, V)>>);

impl<K: Eq + Hash, N: Copy + Eq, V: Clone> VersionedCache<K, N, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// The value, if it was read at that version.
    pub(super) fn get(&self, key: &K, version: N) -> Option<V> {
        self.entries().get(key).filter(|(at, _)| *at == version).map(|(_, value)| value.clone())
    }

    /// Keeps a value that was read after the version was taken.
    pub(super) fn put(&self, key: K, version: N, value: V) {
        let mut entries = self.entries();
        if entries.len() >= LEN_MAX && !entries.contains_key(&key) {
            entries.retain(|_, (at, _)| *at == version);
            if entries.len() >= LEN_MAX {
                entries.clear();
            }
        }
        entries.insert(key, (version, value));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, (N, V)>> {
        // Each operation leaves the map whole, so a panic elsewhere does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_good_for_its_version_only() {
        let cache = VersionedCache::new();
        cache.put("a", 1, "one");
        assert_eq!((cache.get(&"a", 1), cache.get(&"a", 2), cache.get(&"b", 1)), (Some("one"), None, None));
        cache.put("a", 2, "two");
        assert_eq!((cache.get(&"a", 1), cache.get(&"a", 2)), (None, Some("two")));
    }

    #[test]
    fn it_never_grows_beyond_its_bound() {
        let cache = VersionedCache::new();
        for number in 0..LEN_MAX {
            cache.put(number, 1 + number % 2, ());
        }
        cache.put(LEN_MAX, 2, ());
        assert_eq!(cache.entries().len(), LEN_MAX / 2 + 1, "the outdated ones are gone");
        for number in 0..=2 * LEN_MAX {
            cache.put(number, 2, ());
            assert!(cache.entries().len() <= LEN_MAX);
        }
        assert_eq!(cache.get(&(2 * LEN_MAX), 2), Some(()));
    }
}
