//! The machine's own name service, with a bound on what a silent name server can hold.
//!
//! `getaddrinfo` is the only way to the name service as the machine is set up (hosts files, search lists, plug-ins), and
//! it blocks a thread for as long as it likes: half a minute where name servers do not answer. So each look-up has a thread
//! of its own with a small stack, and there are few of them. Whoever asked waits for a short time only; the thread goes
//! on, holds its place and its name, and nothing else. Who asks for a name that is being looked up waits for the same
//! answer, and names of one domain get a part of the places, since one silent name server has as many names as it likes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use likeness_domain::ports::Pending;
use likeness_domain::{Error, Kind, Result};
use tokio::sync::{Notify, watch};

use super::unreachable;

/// Bytes of the stack of a thread that looks up a name. The C library's resolver takes less than a quarter.
const STACK_BYTES: usize = 512 * 1024;

/// Of so many places, names of one domain get one.
const PART_OF_DOMAIN: usize = 4;

/// The name service, so that tests can answer in its place.
pub(crate) trait Resolve: Send + Sync {
    /// Every address of `name`.
    fn resolve(&self, name: String) -> Pending<'static, Vec<IpAddr>>;
}

/// What looks up one name and may block for long.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// An answer, once it is there.
type Answer = Option<std::result::Result<Vec<IpAddr>, String>>;

/// A name service that is asked for a few names at once, each for a short time.
#[derive(Clone)]
pub(crate) struct BoundedResolver {
    look_up: Arc<LookUp>,
    names_max: usize,
    wait_max: Duration,
    running: Arc<Mutex<HashMap<String, watch::Receiver<Answer>>>>,
    /// A place has become free.
    freed: Arc<Notify>,
}

impl BoundedResolver {
    /// The machine's name service, asked for at most `names_max` names at once; an answer, or a place to ask, is waited
    /// for at most `wait_max`.
    pub(crate) fn of_the_machine(names_max: usize, wait_max: Duration) -> Self {
        Self::with(names_max, wait_max, |name| Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect()))
    }

    pub(super) fn with(
        names_max: usize,
        wait_max: Duration,
        look_up: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { look_up: Arc::new(look_up), names_max, wait_max, running: Arc::default(), freed: Arc::default() }
    }

    async fn answer(&self, name: &str) -> Result<Vec<IpAddr>> {
        let mut answer = loop {
            // Asked for before looking, so that a place that becomes free in between is not missed.
            let freed = self.freed.notified();
            let mut freed = std::pin::pin!(freed);
            freed.as_mut().enable();
            if let Some(answer) = self.join_or_start(name)? {
                break answer;
            }
            freed.await;
        };
        // The sender is dropped without an answer when the look-up panics.
        let found = answer.wait_for(Option::is_some).await.map(|found| found.clone());
        match found {
            Ok(Some(Ok(addresses))) => Ok(addresses),
            Ok(Some(Err(reason))) => Err(unreachable("host of the image address is not known").with_source(reason)),
            Ok(None) | Err(_) => Err(Error::internal("cannot look up the host of an image address", "no answer")),
        }
    }

    /// The answer to come, from a look-up that is running or begins now; `None` where there is no place for one.
    fn join_or_start(&self, name: &str) -> Result<Option<watch::Receiver<Answer>>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = running.get(name) {
            return Ok(Some(answer.clone()));
        }
        let n_of_domain = running.keys().filter(|other| domain(other) == domain(name)).count();
        if running.len() >= self.names_max || n_of_domain >= self.names_max.div_ceil(PART_OF_DOMAIN) {
            return Ok(None);
        }
        let (sender, answer) = watch::channel(None);
        let place = Place { name: name.to_owned(), resolver: self.clone() };
        let thread = std::thread::Builder::new().name("name-look-up".to_owned()).stack_size(STACK_BYTES);
        let started = thread.spawn(move || {
            let found = (place.resolver.look_up)(&place.name);
            // The place first: whoever hears the answer may ask for the next name at once.
            drop(place);
            sender.send_replace(Some(found.map_err(|error| error.to_string())));
        });
        started.map_err(|error| Error::internal("cannot start a thread for a name look-up", error))?;
        running.insert(name.to_owned(), answer.clone());
        Ok(Some(answer))
    }
}

impl Resolve for BoundedResolver {
    fn resolve(&self, name: String) -> Pending<'static, Vec<IpAddr>> {
        let resolver = self.clone();
        Box::pin(async move {
            let answered = tokio::time::timeout(resolver.wait_max, resolver.answer(&name)).await;
            answered.unwrap_or_else(|_| {
                let seconds = resolver.wait_max.as_secs_f32();
                Err(Error::new(Kind::UrlTimeout, format!("host of the image address was not found within {seconds} s")))
            })
        })
    }
}

/// Held by a thread while it looks up a name.
struct Place {
    name: String,
    resolver: BoundedResolver,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.resolver.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        self.resolver.freed.notify_waiters();
    }
}

/// The last two labels of a name, which one name server usually answers for.
fn domain(name: &str) -> &str {
    let dots = name.rmatch_indices('.').nth(1);
    dots.map_or(name, |(dot, _)| &name[dot + 1..])
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A name service whose servers for `silent.test` say nothing until they are released, and which counts look-ups.
    #[derive(Default)]
    struct Service {
        released: (Mutex<bool>, Condvar),
        n_asked: AtomicUsize,
    }

    impl Service {
        fn resolver(self: &Arc<Self>, names_max: usize) -> BoundedResolver {
            let service = Arc::clone(self);
            BoundedResolver::with(names_max, Duration::from_millis(100), move |name| service.look_up(name))
        }

        fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
            self.n_asked.fetch_add(1, Ordering::Relaxed);
            if domain(name) == "silent.test" {
                let released = self.released.0.lock().unwrap();
                drop(self.released.1.wait_while(released, |released| !*released).unwrap());
            }
            match name {
                "unknown.test" => Err(io::Error::other("no such name")),
                _ => Ok(vec!["192.0.2.1".parse().unwrap()]),
            }
        }

        fn release(&self) {
            *self.released.0.lock().unwrap() = true;
            self.released.1.notify_all();
        }
    }

    impl Drop for Service {
        fn drop(&mut self) {
            self.release();
        }
    }

    async fn kind(resolver: &BoundedResolver, name: &str) -> Option<Kind> {
        resolver.resolve(name.to_owned()).await.err().map(|error| error.kind())
    }

    #[tokio::test]
    async fn a_silent_name_server_costs_its_callers_a_moment_and_others_nothing() {
        let service = Arc::new(Service::default());
        let resolver = service.resolver(8);
        let asking = (0..50).map(|n| {
            let resolver = resolver.clone();
            tokio::spawn(async move { kind(&resolver, &format!("n{n}.silent.test")).await })
        });
        for asked in asking.collect::<Vec<_>>() {
            assert_eq!(asked.await.unwrap(), Some(Kind::UrlTimeout));
        }
        assert_eq!(service.n_asked.load(Ordering::Relaxed), 2, "a quarter of the places");
        for name in ["www.example.test", "unknown.test", "a.test", "a.b.c.test"] {
            let expected = (name == "unknown.test").then_some(Kind::UrlUnreachable);
            assert_eq!(kind(&resolver, name).await, expected, "{name}");
        }
        // What was given up holds its place until it ends, and no longer.
        assert_eq!(resolver.running.lock().unwrap().len(), 2);
        service.release();
        assert_eq!(kind(&resolver, "n99.silent.test").await, None);
        while !resolver.running.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_look_up_answers_all_who_ask_for_a_name_meanwhile() {
        let service = Arc::new(Service::default());
        let resolver = BoundedResolver { wait_max: Duration::from_secs(20), ..service.resolver(8) };
        let asking: Vec<_> = (0..50)
            .map(|_| {
                let resolver = resolver.clone();
                tokio::spawn(async move { kind(&resolver, "www.silent.test").await })
            })
            .collect();
        while service.n_asked.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        service.release();
        for asked in asking {
            assert_eq!(asked.await.unwrap(), None);
        }
        assert_eq!(service.n_asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn all_places_taken_by_silent_servers_are_waited_for_until_the_time_is_up() {
        let service = Arc::new(Service::default());
        let resolver = service.resolver(1);
        assert_eq!(kind(&resolver, "www.silent.test").await, Some(Kind::UrlTimeout));
        assert_eq!(kind(&resolver, "www.example.test").await, Some(Kind::UrlTimeout));
        assert_eq!(service.n_asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_domain_is_the_last_two_labels() {
        for (name, expected) in [("a.b.c.test", "c.test"), ("c.test", "c.test"), ("localhost", "localhost"), ("", "")] {
            assert_eq!(domain(name), expected);
        }
    }
}
