//! Fakes and builders for tests: the whole house runs without a model, a network, a clock or chance.
//!
//! This crate must never know a wire format, a database or a model, and no product code may depend on it.
//! Start at [`FakeAnalyzer`]: its "photographs" are a few lines of text that say whose faces they show.

mod analyzer;
mod fetcher;
mod head;
mod index;
mod redact;
mod scene;
mod task_driver;
mod time;
mod video;
mod webhook_sender;

pub use analyzer::{FAKE_DIMENSIONS, FAKE_THUMBNAIL, FakeAnalyzer, coarse_pack, fake_pack, fake_template};
pub use fetcher::FakeFetcher;
pub use head::FakeHead;
pub use index::BruteForceIndex;
pub use redact::Redactor;
pub use task_driver::{TaskDriver, Worker};
pub use time::{FakeClock, SeededIds};
pub use video::FakeVideoDecoder;
pub use webhook_sender::FakeWebhookSender;

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use likeness_domain::access::Caller;
use likeness_domain::types::TenantId;

/// A caller of the tenant with these bits who may do everything.
pub fn caller(tenant_bits: u128) -> Caller {
    Caller::server(TenantId::from_bits(tenant_bits), "test")
}

/// Drives a future to its end on this thread, sleeping while it waits: for tests of rooms that know no async runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
