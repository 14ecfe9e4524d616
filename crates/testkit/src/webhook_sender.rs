//! Messages that go nowhere and are kept to be looked at.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::access::Share;
use likeness_domain::ports::{Pending, Webhook, WebhookSender};
use likeness_domain::{Error, Kind};

/// Keeps what is delivered and answers with the statuses it was given, then with 200.
///
/// Addresses whose host is `10.0.0.1` are forbidden, as a private one would be.
#[derive(Default)]
pub struct FakeWebhookSender {
    delivered: Mutex<Vec<(String, Bytes)>>,
    statuses: Mutex<VecDeque<u16>>,
}

impl FakeWebhookSender {
    /// A webhook_sender to whom everybody answers 200.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next deliveries are answered with these statuses.
    pub fn answer(&self, statuses: &[u16]) {
        self.statuses.lock().expect("no test panics inside").extend(statuses);
    }

    /// What was delivered so far: address and body, in order.
    pub fn delivered(&self) -> Vec<(String, Bytes)> {
        self.delivered.lock().expect("no test panics inside").clone()
    }
}

fn judged(url: &str) -> likeness_domain::Result<()> {
    if url.contains("//10.0.0.1") {
        return Err(Error::new(Kind::UrlForbidden, "the address is not on the public internet"));
    }
    Ok(())
}

impl WebhookSender for FakeWebhookSender {
    fn check(&self, url: &str) -> Pending<'_, ()> {
        Box::pin(std::future::ready(judged(url)))
    }

    fn deliver(&self, url: &str, message: Webhook, _: Duration, _: Share) -> Pending<'_, u16> {
        let answer = judged(url).map(|()| {
            self.delivered.lock().expect("no test panics inside").push((url.to_owned(), message.body));
            self.statuses.lock().expect("no test panics inside").pop_front().unwrap_or(200)
        });
        Box::pin(std::future::ready(answer))
    }
}
