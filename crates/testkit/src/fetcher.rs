//! A web of a few known pages.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use likeness_domain::ports::{FetchRules, ImageFetcher, Pending};
use likeness_domain::{Error, Kind};

#[derive(Clone)]
enum Page {
    Served(Bytes),
    Fails(Kind),
    Hangs,
}

/// Answers from a table instead of the network; an address that is not in it is [`Kind::UrlUnreachable`].
#[derive(Default)]
pub struct FakeFetcher {
    pages: Mutex<HashMap<String, Page>>,
    fetched: Mutex<Vec<String>>,
}

impl FakeFetcher {
    /// A web without pages.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts bytes behind `url`.
    pub fn serve(&self, url: &str, bytes: impl Into<Bytes>) {
        self.put(url, Page::Served(bytes.into()));
    }

    /// Makes `url` fail with this kind.
    pub fn fail(&self, url: &str, kind: Kind) {
        self.put(url, Page::Fails(kind));
    }

    /// Makes `url` never answer, whatever deadline the rules say.
    pub fn hang(&self, url: &str) {
        self.put(url, Page::Hangs);
    }

    fn put(&self, url: &str, page: Page) {
        self.pages.lock().expect("no test panics inside").insert(url.to_owned(), page);
    }

    /// Every address asked for so far, in order.
    pub fn fetched(&self) -> Vec<String> {
        self.fetched.lock().expect("no test panics inside").clone()
    }
}

impl ImageFetcher for FakeFetcher {
    fn fetch(&self, url: &str, rules: FetchRules) -> Pending<'_, Bytes> {
        self.fetched.lock().expect("no test panics inside").push(url.to_owned());
        let page = self.pages.lock().expect("no test panics inside").get(url).cloned();
        Box::pin(std::future::ready(match page {
            Some(Page::Hangs) => return Box::pin(std::future::pending()),
            Some(Page::Served(bytes)) if bytes.len() > rules.bytes_max => {
                Err(Error::new(Kind::ImageTooLarge, format!("more than {} bytes", rules.bytes_max)))
            }
            Some(Page::Served(bytes)) => Ok(bytes),
            Some(Page::Fails(kind)) => Err(Error::new(kind, "the test told this address to fail")),
            None => Err(Error::new(Kind::UrlUnreachable, "the test serves nothing at this address")),
        }))
    }
}

#[cfg(test)]
mod tests;
